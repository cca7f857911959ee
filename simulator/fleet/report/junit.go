package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitText `xml:"failure,omitempty"`
	Error   *junitText `xml:"error,omitempty"`
	Out     string     `xml:"system-out,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
}

// WriteJUnit writes one test case for the generator's health, and one for each
// verdict. An invalid run is an error, not a failure: nothing is known of the cloud.
func (r *Result) WriteJUnit(w io.Writer, verdicts []Verdict) error {
	seconds := fmt.Sprintf("%.3f", r.Duration().Seconds())
	s := junitSuite{Name: "otasim fleet", Time: seconds, Stamp: r.Began.UTC().Format("2006-01-02T15:04:05")}
	class := "otasim.fleet"
	health := junitCase{Class: class, Name: "the generator was not saturated", Time: seconds}
	if !r.Valid() {
		health.Error = &junitText{Message: legal(strings.Join(r.Invalid, "; "))}
		s.Errors++
	}
	s.Cases = append(s.Cases, health)
	for _, v := range verdicts {
		c := junitCase{Class: class, Name: legal(v.What), Time: "0"}
		if v.OK {
			c.Out = legal(v.Got)
		} else {
			c.Failure = &junitText{Message: legal(v.Got)}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// legal leaves out what must not be shown: control characters, which would also
// steer a terminal.
func legal(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfffe || c == 0xffff || c == '\u202e' || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}
