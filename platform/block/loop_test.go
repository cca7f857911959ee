package block

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
)

// loop is a real block device: a loop device on a sparse file.
type loop struct{ path, backing string }

// newLoop makes one in dir, with size bytes in sectors of sector bytes.
func newLoop(t testing.TB, dir string, size int64, sector int, flags ...string) loop {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices are made by root only")
	}
	f, err := os.CreateTemp(dir, "backing")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-f", "--show", "-b", strconv.Itoa(sector)}, flags...)
	out, err := exec.Command("losetup", append(args, f.Name())...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device can be made here: %s: %v", out, err)
	}
	l := loop{strings.TrimSpace(string(out)), f.Name()}
	t.Cleanup(func() { mustRun(t, "losetup", "-d", l.path) })
	return l
}

// addPartition makes a partition node, without a partition table.
func (l loop) addPartition(t testing.TB, number int, start, length int64) string {
	t.Helper()
	n := strconv.Itoa(number)
	_ = exec.Command("delpart", l.path, n).Run() // a kernel that reads tables may have made it
	mustRun(t, "addpart", l.path, n, strconv.FormatInt(start/512, 10), strconv.FormatInt(length/512, 10))
	t.Cleanup(func() { mustRun(t, "delpart", l.path, n) })
	return l.path + "p" + n
}

func itoa(n int) string { return strconv.Itoa(n) }

func mustRun(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %v: %s", argv, err, out)
	}
}

// mountOn mounts a file system for the time of the test.
func mountOn(t testing.TB, kind, source, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount(source, dir, kind, 0, options); err != nil {
		t.Skipf("%s cannot be mounted here: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func newSlot(t testing.TB, cfg Config) *Slot {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "b"
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openMedium(t testing.TB, s *Slot, write bool) *medium {
	t.Helper()
	m, err := s.Open(write)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m.(*medium)
}

func write(t testing.TB, m platform.Medium, p []byte, off int64) {
	t.Helper()
	if n, err := m.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("WriteAt of %d bytes at %d: %d, %v", len(p), off, n, err)
	}
}

func read(t testing.TB, m platform.Medium, n int, off int64) []byte {
	t.Helper()
	p := make([]byte, n)
	if k, err := m.ReadAt(p, off); k != n {
		t.Fatalf("ReadAt of %d bytes at %d: %d, %v", n, off, k, err)
	}
	return p
}

func sync(t testing.TB, m platform.Medium) {
	t.Helper()
	if err := m.Sync(); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}

func put(t testing.TB, text string, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// modes are all ways to write.
func modes(t *testing.T, f func(t *testing.T, direct bool, sector int)) {
	for _, direct := range []bool{false, true} {
		for _, sector := range []int{512, 4096} {
			name := map[bool]string{false: "Buffered", true: "Direct"}[direct] + strconv.Itoa(sector)
			t.Run(name, func(t *testing.T) { f(t, direct, sector) })
		}
	}
}
