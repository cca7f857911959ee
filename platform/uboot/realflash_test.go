package uboot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRealFlash uses the MTD device that OTAD_TEST_MTD names, and erases what
// its first 16 blocks hold: nandsim in a guest, say, or mtdram.
func TestRealFlash(t *testing.T) {
	dev := os.Getenv("OTAD_TEST_MTD")
	if dev == "" {
		t.Skip("no flash chip: OTAD_TEST_MTD does not name an MTD device whose content may be lost")
	}
	c, err := openChip(dev, false)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.geometry()
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", g)
	dir := t.TempDir()
	config, one := filepath.Join(dir, "config"), filepath.Join(dir, "one")
	line := func(block int64) string { return fmt.Sprintf("%s %#x 0x2000 %#x 8\n", dev, block*g.block, g.block) }
	write(t, config, []byte(line(0)+line(8)))
	write(t, one, []byte(line(0)))
	for name, config := range map[string]string{"redundant": config, "one copy": one} {
		b, err := New(Config{EnvConfig: config, Slots: names, Running: func() (string, error) { return "a", nil }, Default: initial + "x=y\n"})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Check(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Check before Mend: %v", name, err)
		}
		if err := errors.Join(b.Mend(), b.Check(), b.Try("b"), b.Check()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		if all := e.All(); all["x"] != "y" || all[varTrial] != "b" || all[varTrying] != "1" {
			t.Errorf("%s: %v", name, all)
		}
		if _, err := exec.LookPath("fw_printenv"); err != nil {
			t.Logf("not compared with fw_printenv: %v", err)
		} else if got := printenv(t, config); got[varTrial] != "b" || got["x"] != "y" {
			t.Errorf("%s: fw_printenv: %v", name, got)
		} else {
			tool(t, "libubootenv-tool", "fw_setenv", "-c", config, "x", "z")
			if e, err = Open(config); err != nil {
				t.Fatal(err)
			}
			if x, _ := e.Get("x"); x != "z" {
				t.Errorf("%s: fw_setenv wrote z, we read %q", name, x)
			}
		}
		// The next one begins with a flash of junk.
		for _, p := range b.c.places {
			if err := p.store(make([]byte, 0x2000)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
