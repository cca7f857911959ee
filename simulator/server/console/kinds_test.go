package console

import (
	"testing"

	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestTimelineWords: every kind of entry, and every way in which a connection ends, has a
// word in each language.
func TestTimelineWords(t *testing.T) {
	for _, l := range languages() {
		words, err := loadCatalog(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range store.EntryKinds() {
			if words["kind."+k.String()] == "" {
				t.Errorf("%s: the kind %s has no word", l, k)
			}
		}
		for _, e := range broker.Endings() {
			if words["ending."+string(e)] == "" {
				t.Errorf("%s: the ending %s has no word", l, e)
			}
		}
	}
}

// TestLegible: whatever a device sends becomes text in which every character is seen.
func TestLegible(t *testing.T) {
	for in, want := range map[string]string{
		"plain 中文 é":         "plain 中文 é",
		"a\tb\r\nc":          "a\\tb\\r\nc",
		"\x00\xff\xfe":       `\x00\xff\xfe`,
		"\u202e\u2066\ufeff": `\u202e\u2066\ufeff`,
		"\U000e0041":         `\U000e0041`,
	} {
		if got := legible([]byte(in)); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
