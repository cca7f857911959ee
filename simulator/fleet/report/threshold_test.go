package report

import (
	"strings"
	"testing"
)

func TestThresholds(t *testing.T) {
	r := small()
	for text, want := range map[string]bool{
		"connect.p99<20ms": true, "connect.max<=16ms": true, "connect.max<16ms": false, "connect.p50 < 9ms": true,
		"connect.mean=10ms": true, "notice_to_success.p99.9<=3s": true, "verify.p50<1s": false, // not measured
		"download_speed.p50>=1.9MB/s": true, "download_speed.p50>2.1MB/s": false,
		"success>=75%": true, "success>75%": false, "success=3": true, "-2<=1": true, "-2<=0": false, "timeout=0": true,
		"connects=4": true, "bytes_wasted<1000": false, "push_rate<=60": true, "push_rate>=5": false,
	} {
		l, err := ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		v := r.Judge([]Threshold{l})
		if got := v[len(v)-1]; got.OK != want || got.What != text || got.Got == "" {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestThresholdsOfNothing: what was not measured is never good, and behaviours
// that expect nothing have no verdict.
func TestThresholdsOfNothing(t *testing.T) {
	r := New(start)
	r.Behaviour("good").Ended(Succeeded)
	got := r.Result(start).Judge(thresholds(t, "connect.p99<1h"))
	if len(got) != 1 || got[0].OK || got[0].Got != "not measured" {
		t.Errorf("%+v", got)
	}
	b := r.Behaviour("bad")
	b.Expect(VerifyFailed, 2)
	b.Ended(WriteFailed)
	got = r.Result(start).Judge(nil)
	if len(got) != 1 || got[0].OK || got[0].Got != "-3 verification failed: 2 expected, 0 seen; -4 writing failed: 0 expected, 1 seen" {
		t.Errorf("%+v", got)
	}
}

func TestThresholdsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"": "has none of", "connect.p99": "has none of", "<5": "has none of", "connect.p98<5s": "none of p50", "connekt.p99<5s": "not known",
		"connect.p99<5": "a duration", "connect.p99<-5s": "a duration", "download_speed.p50<5s": "a speed", "successes>=1": "no measure, outcome or counter",
		"success>=many": "a number", "success>=-1": "a number", "success>=NaN": "a number", "disconnects<1%": "of outcomes only", strings.Repeat("x", 300) + "<1": "longer than",
	} {
		if _, err := ParseThreshold(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
	}
}

// FuzzThreshold: what is read can be judged.
func FuzzThreshold(f *testing.F) {
	f.Add("connect.p99<500ms")
	f.Add("success>=99.9%")
	f.Add("download_speed.mean = 1MB/s")
	r := small()
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseThreshold(text)
		if err != nil {
			return
		}
		if v := r.Judge([]Threshold{l}); v[len(v)-1].What != l.String() {
			t.Errorf("%+v", v)
		}
	})
}
