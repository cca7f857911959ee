package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform/files"
)

func (c *checker) slots() {
	s := &c.Slots
	what := "file"
	switch s.Kind {
	case "files":
	case "block":
		what = "device"
	case "ubi":
		what = "volume"
	default:
		c.bad("slots.kind", `use "files", "block" or "ubi"`, "there is no kind %q", s.Kind)
		return
	}
	if s.A == "" {
		c.bad("slots.a", "name the "+what+" of slot a", "it is not set")
	}
	if s.B == "" {
		c.bad("slots.b", "name the "+what+" of slot b", "it is not set")
	}
	if s.A != "" && (s.A == s.B || sameFile(s.A, s.B)) {
		c.bad("slots.b", "name two "+what+"s", "both slots are %s", filepath.Clean(s.A))
	}
}

// bootKeys are the settings of single boot loaders.
var bootKeys = map[string][]string{
	"files":        {"dir"},
	"uboot":        {"env_config", "environment"},
	"grub":         {"grubenv"},
	"efi":          {"partition", "loader", "arguments"},
	"systemd-boot": {"entries", "loader", "initrd", "arguments"},
	"tryboot":      {"autoboot", "dir"},
	"barebox":      {"state", "state_node"},
	"script":       {"script"},
}

func (c *checker) boot() {
	b := &c.Boot
	mine, ok := bootKeys[b.Kind]
	switch {
	case !ok:
		c.bad("boot.kind", "use "+strings.Join(bootKinds[:], ", "), "there is no boot loader %q", b.Kind)
		return
	}
	for _, k := range keys() {
		name, in := strings.CutPrefix(k.path, "boot.")
		if in && name != "kind" && name != "attempts" && !slices.Contains(mine, name) && c.isSet(k.path) && !k.value(&c.config).IsZero() {
			c.bad(k.path, "remove it", "boot kind %q has no such setting", b.Kind)
		}
	}
	if b.Attempts < 1 || b.Attempts > files.MaxAttempts {
		c.bad("boot.attempts", "3 is usual", "%d is not within 1 and %d", b.Attempts, files.MaxAttempts)
	}
	for _, k := range wanted[b.Kind] {
		if key, _ := find("boot." + k); key.value(&c.config).String() == "" {
			c.bad("boot."+k, "set it", "boot kind %q needs it", b.Kind)
		}
	}
	if b.Kind == "files" && c.isSet("reboot.command") {
		c.bad("reboot.command", "remove [reboot]", `with boot kind "files" the machine is never rebooted: otad exits with %d and its supervisor starts it again`, exitReboot)
	}
	if c.Reboot.Command != nil && (len(c.Reboot.Command) == 0 || c.Reboot.Command[0] == "") {
		c.bad("reboot.command", `write ["COMMAND", "ARGUMENT"]`, "the command is empty")
	}
}

// wanted are the settings without which a boot loader cannot be used.
var wanted = map[string][]string{
	"efi":          {"partition", "loader"},
	"systemd-boot": {"entries", "loader"},
	"tryboot":      {"autoboot", "dir"},
	"barebox":      {"state"},
	"script":       {"script"},
}
