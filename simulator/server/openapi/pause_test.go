package openapi

import (
	"strings"
	"testing"
)

// TestPauseActions: a job is paused and resumed over the API, and says why it rests; the
// platform's own answer about the job stays what it was.
func TestPauseActions(t *testing.T) {
	e := newEstate(t)
	official := func() string {
		text, _ := e.call(testKey(), "QueryOTAJob", "JobId", e.dynamic)
		return field(t, text, "JobStatus")
	}
	state := func() string { return e.must("QueryOTAJobPause", "JobId", e.dynamic) }
	if got := state(); !strings.Contains(got, `"Paused":false`) {
		t.Errorf("a new job is paused: %s", got)
	}
	before := official()
	e.must("PauseOTAJob", "JobId", e.dynamic)
	if got := state(); !strings.Contains(got, `"Paused":true,"Reason":"user","UtcPaused":"20`) {
		t.Errorf("paused: %s", got)
	}
	if got := official(); got != before {
		t.Errorf("to the platform's clients it was %s and is %s", before, got)
	}
	for _, tc := range []struct{ action, param, value, want string }{
		{"PauseOTAJob", "", "", "paused already"},
		{"PauseOTAJob", "JobId", "j000000000999", "no job"},
		{"UpdateOTAJobStop", "", "", "FailurePercent"},
		{"UpdateOTAJobStop", "FailurePercent", "100", "FailurePercent: 100 percent"},
		{"UpdateOTAJobStop", "FailurePercent", "-1", "FailurePercent"},
		{"UpdateOTAJobStop", "FailurePercent", "x", "FailurePercent"},
	} {
		params := []string{"JobId", e.dynamic}
		if tc.param == "JobId" {
			params = nil
		}
		if tc.param != "" {
			params = append(params, tc.param, tc.value)
		}
		if text, a := e.call(testKey(), tc.action, params...); a.Success || !strings.Contains(text, tc.want) {
			t.Errorf("%s %v: %s, want %q", tc.action, params, text, tc.want)
		}
	}
	e.must("ResumeOTAJob", "JobId", e.dynamic)
	e.must("UpdateOTAJobStop", "JobId", e.dynamic, "FailurePercent", "5")
	if got := state(); !strings.Contains(got, `"Paused":false`) || !strings.Contains(got, `"FailurePercent":5,"LeastEnded":10`) {
		t.Errorf("resumed: %s", got)
	}
	e.must("UpdateOTAJobStop", "JobId", e.dynamic, "FailurePercent", "0")
	if got := state(); !strings.Contains(got, `"FailurePercent":0,"LeastEnded":0`) {
		t.Errorf("switched off: %s", got)
	}
}
