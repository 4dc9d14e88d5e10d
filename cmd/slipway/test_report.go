package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

// testReport is a run of tests, in the order of the files.
type testReport struct {
	results []testResult
	took    time.Duration
}

func (r *testReport) failed() int {
	n := 0
	for i := range r.results {
		if len(r.results[i].Differences) > 0 {
			n++
		}
	}
	return n
}

// summary is the last line, and how to mend snapshots where some differ.
func (r *testReport) summary() string {
	n := r.failed()
	text := fmt.Sprintf("%d passed, %d failed in %s", len(r.results)-n, n, inShort(r.took))
	if slices.ContainsFunc(r.results, func(t testResult) bool { return len(t.changed) > 0 && len(t.Differences) > 0 }) {
		text += "\nWhere an exactPod file is to be as the pod is now: --update writes it."
	}
	return text
}

// inShort is a time to three digits or so.
func inShort(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// reportWriter writes a report in one format.
type reportWriter func(*testReport, streams) error

func testWriter(format string) (reportWriter, error) {
	// Where the output is for machines, people read what failed beside it.
	beside := func(encode func(io.Writer, *testReport) error) reportWriter {
		return func(r *testReport, io streams) error {
			r.failures(io.err, terminal.For(io.err))
			return encode(io.out, r)
		}
	}
	switch format {
	case "table":
		return func(r *testReport, io streams) error { return writeTable(io.out, terminal.For(io.out), r) }, nil
	case "junit":
		return beside(writeJUnit), nil
	case "json":
		return beside(writeTestJSON), nil
	}
	return nil, fmt.Errorf("--output %q: the formats are table, junit and json", format)
}

// writeTable writes a line for each test, and below one that failed what differs.
func writeTable(w io.Writer, paint terminal.Painter, r *testReport) error {
	var text bytes.Buffer
	file, name := len("FILE"), len("TEST")
	for i := range r.results {
		file = max(file, utf8.RuneCountInString(r.results[i].File))
		name = max(name, utf8.RuneCountInString(r.results[i].Name))
	}
	line := func(columns ...string) string {
		return fmt.Sprintf("%-*s  %-*s  %-6s  ", file, columns[0], name, columns[1], columns[2])
	}
	text.WriteString(paint.Bold(line("FILE", "TEST", "RESULT")+"TIME") + "\n")
	for i := range r.results {
		t := &r.results[i]
		took := paint.Dim(inShort(t.Took))
		if len(t.Differences) == 0 {
			text.WriteString(line(t.File, t.Name, "pass") + took + "\n")
			continue
		}
		text.WriteString(paint.Red(line(t.File, t.Name, "FAIL")) + took + "\n")
		writeDifferences(&text, paint, t.Differences)
	}
	text.WriteString("\n" + verdict(paint, r) + "\n")
	_, err := w.Write(text.Bytes())
	return err
}

func verdict(paint terminal.Painter, r *testReport) string {
	if r.failed() > 0 {
		return paint.Red(r.summary())
	}
	return paint.Green(r.summary())
}

// failures writes the tests that failed, and the summary.
func (r *testReport) failures(w io.Writer, paint terminal.Painter) {
	for i := range r.results {
		if t := &r.results[i]; len(t.Differences) > 0 {
			fmt.Fprintln(w, paint.Red("FAIL "+t.File+": "+t.Name))
			writeDifferences(w, paint, t.Differences)
		}
	}
	fmt.Fprintln(w, verdict(paint, r))
}

// writeDifferences writes for each its path, what was wanted and what there is.
func writeDifferences(w io.Writer, paint terminal.Painter, differences []difference) {
	for _, d := range differences {
		fmt.Fprintf(w, "    %s\n", paint.Bold(d.Path))
		fmt.Fprintf(w, "      want  %s\n", paint.Green(inLines(d.Want)))
		fmt.Fprintf(w, "      got   %s\n", paint.Red(inLines(d.Got)))
	}
}

// inLines is a value to be read: on one line where it fits there, else as YAML.
func inLines(value any) string {
	const fits = 90
	if value == nil {
		return "nothing"
	}
	text, isText := value.(string)
	if !isText {
		text = asCompactJSON(value)
		if long, err := yaml.Marshal(value); err == nil && utf8.RuneCountInString(text) > fits {
			text = strings.TrimSpace(string(long))
		}
	}
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len("      want  ")))
}

func asCompactJSON(value any) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(text.String())
}

// The elements and attributes of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`

		took time.Duration
	}
	junitCase struct {
		ClassName string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
)

// writeJUnit writes a suite for each file.
func writeJUnit(w io.Writer, r *testReport) error {
	all := junitSuites{Name: "slipway test", Tests: len(r.results), Failures: r.failed(), Time: inSeconds(r.took)}
	for i := range r.results {
		t := &r.results[i]
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != t.File {
			all.Suites = append(all.Suites, junitSuite{Name: t.File})
		}
		suite := &all.Suites[len(all.Suites)-1]
		c := junitCase{ClassName: t.File, Name: t.Name, Time: inSeconds(t.Took)}
		if len(t.Differences) > 0 {
			var text bytes.Buffer
			writeDifferences(&text, terminal.Painter{}, t.Differences)
			c.Failure = &junitFailure{Message: inOneSentence(t.Differences), Type: "difference", Text: inXML("\n" + text.String())}
			suite.Failures++
		}
		suite.Tests++
		suite.took += t.Took
		suite.Time = inSeconds(suite.took)
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

// inXML replaces the characters that XML doesn't have; the encoder does so everywhere but in CDATA.
func inXML(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, text)
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// inOneSentence is what CI systems show first.
func inOneSentence(differences []difference) string {
	first := differences[0]
	text := fmt.Sprintf("%s: want %s, got %s", first.Path, onOneLine(first.Want), onOneLine(first.Got))
	if more := len(differences) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func onOneLine(value any) string {
	const fits = 120
	text := "nothing"
	if written, isText := value.(string); isText {
		text = strings.Join(strings.Fields(written), " ")
	} else if value != nil {
		text = asCompactJSON(value)
	}
	if runes := []rune(text); len(runes) > fits {
		return string(runes[:fits]) + "…"
	}
	return text
}

// writeTestJSON writes one object with everything.
func writeTestJSON(w io.Writer, r *testReport) error {
	type result struct {
		File        string       `json:"file"`
		Name        string       `json:"name"`
		Result      string       `json:"result"` // pass or fail
		Seconds     float64      `json:"seconds"`
		Differences []difference `json:"differences,omitempty"`
	}
	out := struct {
		Passed  int      `json:"passed"`
		Failed  int      `json:"failed"`
		Seconds float64  `json:"seconds"`
		Tests   []result `json:"tests"`
	}{Failed: r.failed(), Passed: len(r.results) - r.failed(), Seconds: r.took.Seconds()}
	for i := range r.results {
		t := &r.results[i]
		one := result{t.File, t.Name, "pass", t.Took.Seconds(), t.Differences}
		if len(t.Differences) > 0 {
			one.Result = "fail"
		}
		out.Tests = append(out.Tests, one)
	}
	return writeEncoded(w, encodeJSON, out)
}
