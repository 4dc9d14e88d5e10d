package main

import (
	"encoding/xml"
	"fmt"
	"os"
)

// tally counts tests by how they ended.
type tally struct {
	passed, failed, skipped int
}

func (t tally) plus(o tally) tally {
	return tally{t.passed + o.passed, t.failed + o.failed, t.skipped + o.skipped}
}

// String is the line that a whole run closes with.
func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// junitSuites is a JUnit report, as gotestsum and pytest both write it.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Cases []struct {
		Failure *struct{} `xml:"failure"`
		Error   *struct{} `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
	} `xml:"testcase"`
}

// readReport counts the tests of a JUnit report. Its own totals aren't used: they tell errors from failures, and
// not all writers do alike.
func readReport(path string) (tally, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tally{}, fmt.Errorf("read the report: %w", err)
	}
	var report junitSuites
	if err := xml.Unmarshal(data, &report); err != nil {
		return tally{}, fmt.Errorf("read the report %s: %w", path, err)
	}
	var t tally
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			switch {
			case c.Failure != nil || c.Error != nil:
				t.failed++
			case c.Skipped != nil:
				t.skipped++
			default:
				t.passed++
			}
		}
	}
	return t, nil
}
