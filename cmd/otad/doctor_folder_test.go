package main

import (
	"os"
	"strings"
	"testing"
)

// The doctor finds a directory of files that nothing can be written to.
func TestDoctorFolders(t *testing.T) {
	d := &doctor{set: &settings{config: config{Module: []moduleConfig{
		{Name: "default"}, {Name: "good", Installer: "files", Dir: t.TempDir()},
		{Name: "missing", Installer: "files", Dir: t.TempDir() + "/not/there"}, {Name: "bad", Installer: "files", Dir: t.TempDir() + "/file"},
	}}}}
	if err := os.WriteFile(d.set.Module[3].Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.folders()
	want := []string{"module good ok", "module missing warn", "module bad fail"}
	for i, f := range d.findings {
		if i >= len(want) || f.Check+" "+f.State != want[i] || f.State != "ok" && f.Todo == "" || strings.Contains(f.Text, "%!") {
			t.Errorf("%+v", f)
		}
	}
	if len(d.findings) != len(want) {
		t.Errorf("%d findings, wanted %d", len(d.findings), len(want))
	}
}
