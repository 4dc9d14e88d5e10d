package observability

import (
	"fmt"
	"math"
	"strconv"
)

// inUnit writes a number in one of Grafana's units, to three digits.
func inUnit(v float64, unit string) string {
	switch unit {
	case "s":
		return seconds(v)
	case "bytes":
		return scaled(v, 1024, []string{" B", " KiB", " MiB", " GiB"})
	case "percentunit":
		return digits(v*100) + " %"
	case "reqps", "ops":
		return digits(v) + "/s"
	}
	return scaled(v, 1000, []string{"", " k", " M", " G"})
}

func seconds(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs == 0:
		return "0 s"
	case abs < 1e-3:
		return digits(v*1e6) + " µs"
	case abs < 1:
		return digits(v*1e3) + " ms"
	case abs < 120:
		return digits(v) + " s"
	case abs < 2*3600:
		return digits(v/60) + " min"
	case abs < 2*86400:
		return digits(v/3600) + " h"
	}
	return digits(v/86400) + " d"
}

func scaled(v, by float64, names []string) string {
	i := 0
	for ; math.Abs(v) >= by && i < len(names)-1; i++ {
		v /= by
	}
	return digits(v) + names[i]
}

func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	short, err := strconv.ParseFloat(fmt.Sprintf("%.3g", v), 64)
	if err != nil {
		return "?"
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// ceiling is a round number at or above v, and how many steps an axis up to it has.
func ceiling(v float64) (top float64, steps int) {
	if v <= 0 {
		return 1, 2
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, c := range []struct {
		factor float64
		steps  int
	}{{1, 2}, {1.5, 3}, {2, 4}, {3, 3}, {4, 4}, {5, 5}, {6, 3}, {8, 4}, {10, 5}} {
		if v <= c.factor*power*(1+1e-9) {
			return c.factor * power, c.steps
		}
	}
	return 10 * power, 5
}
