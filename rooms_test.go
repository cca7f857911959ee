package ota

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// rooms is the policy of docs/architecture.md: which of our own packages a room
// may import, and which packages it must never import. It speaks of the direct
// imports of non-test files. A room's line holds for the packages below it that
// have no line of their own. Change it in a commit of its own that says why.
var rooms = []struct {
	room  string
	may   []string // of ours; "..." is everything below
	never []string
}{
	{".", nil, []string{"os", "net", "time", "log/slog"}},
	{"diff", nil, []string{"os", "net", "time"}},
	{"verify", []string{"."}, []string{"net/http", "log/slog"}},
	{"platform", []string{"platform..."}, []string{"net/http"}},
	{"agent", []string{".", "diff", "verify", "platform...", "agent..."}, []string{"database/sql"}},
	{"simulator", []string{"."}, []string{"os", "net", "database/sql", "log/slog"}},
	{"simulator/server", []string{".", "simulator...", "diff", "verify", "platform/durable"}, nil},
	{"simulator/local", []string{"simulator/server/openapi"}, nil},
	{"simulator/fleet", []string{".", "diff", "verify", "agent...", "platform...", "simulator/fleet..."}, []string{"database/sql"}},
	{"cmd", []string{"..."}, nil},
}

const module = "github.com/leapslot/ota"

// onlyHere are packages that exactly one room imports.
var onlyHere = map[string]string{
	"github.com/eclipse/paho.mqtt.golang": "agent/link",
	"github.com/mochi-mqtt/server/v2":     "simulator/server/broker",
	"modernc.org/sqlite":                  "simulator/server/store",
	"github.com/google/go-tpm/tpm2":       "verify/tpm",
	"github.com/smallstep/pkcs7":          "verify/cms",
	"github.com/ThalesGroup/crypto11":     "verify/pkcs11",
}

func TestRooms(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		checkRoom(t, roomPath(p.ImportPath), p.Imports)
	}
	if seen < len(rooms) {
		t.Errorf("only %d packages were listed", seen)
	}
}

func checkRoom(t *testing.T, pkg string, imports []string) {
	best := -1
	for i, r := range rooms {
		if within(pkg, r.room) && (best < 0 || len(r.room) > len(rooms[best].room)) {
			best = i
		}
	}
	if best < 0 {
		t.Errorf("%s is in no room: give it a line in the policy", pkg)
		return
	}
	for _, imp := range imports {
		if room, ok := onlyHere[imp]; ok && room != pkg {
			t.Errorf("%s imports %s, which only %s may", pkg, imp, room)
		}
		for _, never := range rooms[best].never {
			if imp == never {
				t.Errorf("%s imports %s, which %s must never", pkg, imp, rooms[best].room)
			}
		}
		if (imp == module || strings.HasPrefix(imp, module+"/")) && !allowed(roomPath(imp), rooms[best].may) {
			t.Errorf("%s imports %s, which %s may not", pkg, imp, rooms[best].room)
		}
	}
}

func allowed(pkg string, may []string) bool {
	for _, m := range may {
		room, below := strings.CutSuffix(m, "...")
		if pkg == m || below && (room == "" || within(pkg, room)) {
			return true
		}
	}
	return false
}

// within reports whether pkg is the room or below it; nothing is below the root.
func within(pkg, room string) bool {
	return pkg == room || room != "." && strings.HasPrefix(pkg, room+"/")
}

func roomPath(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}
