// Command notebook stands for a notebook server in tests on a real node. It
// answers every path on port 8888 with a [Report] of its container as JSON, until
// it is told to end. For kubectl exec it does two things more:
//
//	/notebook report     prints that report
//	/notebook get URL    prints what a server answers; the cluster's CA is trusted
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const address = ":8888"

// Report is what a container sees of itself.
type Report struct {
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Groups []int             `json:"groups"`
	Args   []string          `json:"args"`
	Dir    string            `json:"dir"` // the working folder
	Env    map[string]string `json:"env"`
	Mounts []Mount           `json:"mounts"`

	MemoryLimit int64 `json:"memoryLimit"` // in bytes; 0: none
	CPULimit    int64 `json:"cpuLimit"`    // in millicores; 0: none
}

// Mount is a line of /proc/self/mountinfo.
type Mount struct {
	Path     string `json:"path"`
	Type     string `json:"type"`
	ReadOnly bool   `json:"readOnly"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// run serves unless the arguments ask for something else; a policy may give a
// server arguments that mean nothing here.
func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "report":
		return write(os.Stdout)
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	default:
		return serve()
	}
}

func get(url string) error {
	roots := x509.NewCertPool()
	ca, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	roots.AppendCertsFromPEM(ca)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // it is what was asked for
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	response, err := client.Do(request) //nolint:gosec // it is what was asked for
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              address,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := write(w); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	log.Printf("user %d listens on %s", os.Getuid(), address)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func write(to io.Writer) error {
	r, err := report()
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "%s\n", content)
	return err
}

func report() (r Report, err error) {
	r = Report{UID: os.Getuid(), GID: os.Getgid(), Args: os.Args, Env: map[string]string{}}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		r.Env[name] = value
	}
	if r.Groups, err = os.Getgroups(); err != nil {
		return r, fmt.Errorf("read the groups: %w", err)
	}
	if r.Dir, err = os.Getwd(); err != nil {
		return r, fmt.Errorf("read the working folder: %w", err)
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return r, err
	}
	defer mounts.Close()
	if r.Mounts, err = readMounts(mounts); err != nil {
		return r, fmt.Errorf("read the mounts: %w", err)
	}
	r.MemoryLimit, r.CPULimit, err = readLimits("/sys/fs/cgroup")
	return r, err
}

// readMounts reads lines such as
//
//	36 35 98:0 /root /home ro,noatime master:1 - ext3 /dev/root rw
func readMounts(from io.Reader) (mounts []Mount, err error) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 6 || dash+1 == len(fields) {
			return nil, fmt.Errorf("not a mount: %q", lines.Text())
		}
		options := strings.Split(fields[5], ",")
		mounts = append(mounts, Mount{Path: fields[4], Type: fields[dash+1], ReadOnly: slices.Contains(options, "ro")})
	}
	return mounts, lines.Err()
}

// readLimits reads the limits of memory in bytes and of CPU in millicores from
// the control groups of either version.
func readLimits(root string) (memory, cpu int64, err error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return readLimitsV2(root)
	}
	memory, err = readNumber(filepath.Join(root, "memory", "memory.limit_in_bytes"))
	if err != nil {
		return 0, 0, err
	}
	if memory > 1<<62 { // the most that it can be, in whole pages, is no limit
		memory = 0
	}
	quota, err := readNumber(filepath.Join(root, "cpu", "cpu.cfs_quota_us"))
	if err != nil || quota < 0 {
		return memory, 0, err
	}
	period, err := readNumber(filepath.Join(root, "cpu", "cpu.cfs_period_us"))
	if err != nil {
		return 0, 0, err
	}
	return memory, quota * 1000 / period, nil
}

func readLimitsV2(root string) (memory, cpu int64, err error) {
	if memory, err = readNumber(filepath.Join(root, "memory.max")); err != nil {
		return 0, 0, err
	}
	content, err := os.ReadFile(filepath.Join(root, "cpu.max"))
	if err != nil {
		return 0, 0, err
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(content)), " ")
	if quota == "max" {
		return memory, 0, nil
	}
	q, err := strconv.ParseInt(quota, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("cpu.max: %w", err)
	}
	p, err := strconv.ParseInt(period, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("cpu.max: %w", err)
	}
	return memory, q * 1000 / p, nil
}

// readNumber reads a file that holds a number, or max, which is 0 here.
func readNumber(path string) (int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(content))
	if text == "max" {
		return 0, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return number, nil
}
