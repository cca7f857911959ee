package ota

import (
	"fmt"
	"strconv"
)

// Step is the step of a progress report: 0 to 100 percent, or a failure below
// zero (protocol section 5).
type Step int

// The steps that have a meaning of their own.
const (
	StepUpgradeFailed  Step = -1 // the upgrade as a whole: the new system did not start, or was not healthy
	StepDownloadFailed Step = -2
	StepVerifyFailed   Step = -3
	StepWriteFailed    Step = -4 // writing to flash, which includes unpacking and patching
	StepDone           Step = 100
)

// Failed reports whether the step is a failure. Devices send values below -4
// too; every negative value is one.
func (s Step) Failed() bool { return s < 0 }

// String gives the step as it stands on the wire.
func (s Step) String() string { return strconv.Itoa(int(s)) }

// Meaning says in a word what the step means, for texts that people read.
func (s Step) Meaning() string {
	switch {
	case s == StepUpgradeFailed:
		return "upgrade failed"
	case s == StepDownloadFailed:
		return "download failed"
	case s == StepVerifyFailed:
		return "verification failed"
	case s == StepWriteFailed:
		return "writing failed"
	case s < 0:
		return "failed"
	}
	return s.String() + " %"
}

// ParseStep reads a step as devices write it: a decimal integer from -2^31 to 100.
func ParseStep(s string) (Step, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n > int64(StepDone) {
		return 0, fmt.Errorf("step %.20q is not a percentage from 0 to 100 nor a negative code", s)
	}
	return Step(n), nil
}
