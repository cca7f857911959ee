package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testBench(t *testing.T) *bench {
	if _, err := os.Stat(timeProgram); err != nil {
		t.Skipf("%v: make bench installs it", err)
	}
	return &bench{dir: t.TempDir(), runs: 3, screen: &screen{}}
}

// A large bench must not make its programs look large: the kernel carries the
// peak of whoever starts a program over to it.
func TestPeakIsTheProgramsOwn(t *testing.T) {
	b := testBench(t)
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	u, err := b.measure(context.Background(), cmd("true"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Peak < 256<<10 || u.Peak > 16<<20 {
		t.Errorf("true(1) has a peak of %d bytes, bench one of more than %d", u.Peak, len(ballast))
	}
	if ballast[0] != 1 {
		t.Fatal("the ballast has gone")
	}
}

func TestCPUOfAChildIsCounted(t *testing.T) {
	b := testBench(t)
	u, err := b.measure(context.Background(), cmd("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"))
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 20*time.Millisecond || u.CPU > 10*u.Wall {
		t.Errorf("a loop took %v of CPU in %v", u.CPU, u.Wall)
	}
}

func TestExitCode(t *testing.T) {
	b := testBench(t)
	four := cmd("sh", "-c", "echo because >&2; exit 4")
	_, err := b.measure(context.Background(), four)
	if err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("exit code 4 was taken for success, or the reason is lost: %v", err)
	}
	four.exit = 4
	if _, err := b.measure(context.Background(), four); err != nil {
		t.Error(err)
	}
	if _, err := b.measure(context.Background(), cmd("/nowhere/program")); err == nil {
		t.Error("a program that is not there was measured")
	}
}

func TestPipeline(t *testing.T) {
	b := testBench(t)
	kept, sum := filepath.Join(b.dir, "kept"), filepath.Join(b.dir, "sum")
	u, err := b.pipeline(context.Background(), cmd("printf", "some bytes"), cmd("tee", kept), cmd("sh", "-c", "cat > "+sum))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{kept, sum} {
		if content, err := os.ReadFile(f); err != nil || string(content) != "some bytes" {
			t.Errorf("%s: %q, %v", f, content, err)
		}
	}
	if u.Peak < 3*256<<10 {
		t.Errorf("three programs have a peak of %d bytes", u.Peak)
	}
	_, err = b.pipeline(context.Background(), cmd("false"), cmd("cat"))
	if err == nil || !strings.Contains(err.Error(), "false") {
		t.Errorf("a pipeline whose first program fails: %v", err)
	}
}

func TestStops(t *testing.T) {
	b := testBench(t)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := b.measure(ctx, cmd("sleep", "30")); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("sleep ended with %v after %v", err, time.Since(began))
	}
}

func TestParsePeak(t *testing.T) {
	if got, err := parsePeak("Command exited with non-zero status 4\n2048\n"); err != nil || got != 2<<20 {
		t.Errorf("got %d, %v", got, err)
	}
	for _, bad := range []string{"", "0\n", "much\n"} {
		if got, err := parsePeak(bad); err == nil {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}
