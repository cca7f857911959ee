package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/barebox"
	"github.com/leapslot/ota/platform/files"
	"github.com/leapslot/ota/platform/power"
	"github.com/leapslot/ota/platform/running"
	"github.com/leapslot/ota/platform/script"
	"github.com/leapslot/ota/platform/tryboot"
	"github.com/leapslot/ota/platform/uboot"
)

// bootIDFile differs from start to start of the kernel.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// Kinds of boot loaders.
var bootKinds = [...]string{"files", "uboot", "grub", "efi", "systemd-boot", "tryboot", "barebox", "script"}

// openBoot opens the boot loader without changing it.
func openBoot(c *config) (platform.Boot, error) {
	b, err := newBoot(c)
	if err != nil {
		return nil, exitf(exitConfig, "boot", "%w (see [boot])", err)
	}
	return b, nil
}

func newBoot(c *config) (platform.Boot, error) {
	slots, attempts, here := slotNames[:], c.Boot.Attempts, runningSlot(c)
	switch c.Boot.Kind {
	case "uboot":
		text, err := optional("boot.environment", c.Boot.Environment)
		if err != nil {
			return nil, err
		}
		return uboot.New(uboot.Config{EnvConfig: c.Boot.EnvConfig, Slots: slots, Attempts: attempts, Running: here, Default: string(text)})
	case "grub", "efi", "systemd-boot":
		return newPCBoot(c.Boot, here)
	case "barebox":
		cfg, err := barebox.Describe(c.Boot.StateNode, map[string]string{slotNames[0]: "bootstate/system0", slotNames[1]: "bootstate/system1"})
		if err != nil {
			return nil, err
		}
		cfg.Path, cfg.Slots, cfg.Attempts, cfg.Running = c.Boot.State, slots, attempts, here
		return barebox.New(cfg)
	case "script":
		return script.New(script.Config{Program: c.Boot.Script, Slots: slots, Attempts: attempts})
	case "tryboot":
		return tryboot.New(tryboot.Config{Path: c.Boot.Autoboot, Slots: slots, Dir: c.Boot.Dir, Running: here})
	}
	return files.Open(c.Boot.Dir, slots, slotNames[0], attempts)
}

// runningSlot asks the machine which slot it runs from.
func runningSlot(c *config) func() (string, error) {
	return func() (string, error) {
		slots, err := openSlots(c.Slots)
		if err != nil {
			return "", err
		}
		var places []running.Place
		for _, s := range slots {
			if p, ok := s.(running.Place); ok {
				places = append(places, p)
			}
		}
		return running.Here(slotNames[:], places...)
	}
}

// forSlot fills a template of the configuration.
func forSlot(template, slot string) string { return strings.ReplaceAll(template, "{slot}", slot) }

// startBoot opens the boot loader for the service, and names this start of the
// machine.
func startBoot(c *config) (platform.Boot, string, error) {
	if c.Boot.Dir != "" {
		if err := makeDir(c.Boot.Dir, "boot.dir"); err != nil {
			return nil, "", err
		}
	}
	b, err := openBoot(c)
	if err != nil {
		return nil, "", err
	}
	if f, ok := b.(*files.Boot); ok {
		id, err := startFiles(f)
		if err != nil {
			return nil, "", exitf(exitConfig, "run", "the boot loader in %s: %w (see otad doctor)", c.Boot.Dir, err)
		}
		return b, id, nil
	}
	id, err := os.ReadFile(bootIDFile)
	if err != nil {
		return nil, "", exitf(exitConfig, "run", "%s: %w (mount /proc)", bootIDFile, reasonOf(err))
	}
	return b, strings.TrimSpace(string(id)), nil
}

// startFiles is the power button of a machine of files.
func startFiles(b *files.Boot) (id string, err error) {
	if _, err := b.PowerOn(); err != nil {
		return "", err
	}
	return b.BootID()
}

// openPower finds out how the machine is restarted: by its supervisor where it is
// one of files or was asked to be (otad run --reboot-exit-code), else for real.
func openPower(c *config, b platform.Boot, supervised bool) (platform.Power, error) {
	if _, ok := b.(*files.Boot); ok || supervised {
		return files.Supervised{}, nil
	}
	cfg := power.Config{Command: c.Reboot.Command, Timeout: time.Duration(c.Reboot.Timeout)}
	if r, ok := b.(platform.RebootArgument); ok {
		cfg.Argument = r.RebootArgument
	}
	p, err := power.New(cfg)
	if err != nil {
		return nil, exitf(exitConfig, "reboot", "%w (see [reboot])", err)
	}
	return p, nil
}

// bootless reports whether the boot loader of files was never started here.
func (c *config) bootless() bool {
	_, err := os.Stat(c.Boot.Dir)
	return c.Boot.Kind == "files" && errors.Is(err, fs.ErrNotExist)
}
