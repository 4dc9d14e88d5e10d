package fleet

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what the kernel counts of a running program.
type Usage struct {
	// RSS is its memory now and Peak the most that it had, both in bytes.
	RSS, Peak int64
	// CPU is the processor time of all its threads since it started.
	CPU time.Duration
}

// ticks is how many of the kernel's clock ticks in /proc make a second; 100 on every Linux that Go runs on.
const ticks = 100

// Usage reads it from /proc, so on Linux only.
func (u *Unit) Usage() (Usage, error) {
	folder := "/proc/" + strconv.Itoa(u.PID())
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return Usage{}, fmt.Errorf("read the memory of %s: %w", u.Name, err)
	}
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read the processor time of %s: %w", u.Name, err)
	}
	return Usage{RSS: kilobytes(string(status), "VmRSS:"), Peak: kilobytes(string(status), "VmHWM:"), CPU: processorTime(string(stat))}, nil
}

// kilobytes is a line of /proc/PID/status in bytes: NAME  N kB; 0 where it isn't there.
func kilobytes(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// processorTime is utime and stime, the 14th and 15th fields of /proc/PID/stat. The second one, the name, may have
// spaces and brackets.
func processorTime(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const utime = 14 - 3 // the third field is the first after the name
	if len(fields) <= utime+1 {
		return 0
	}
	var sum int64
	for _, f := range fields[utime : utime+2] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}
