package console

import (
	"slices"
	"strings"

	"github.com/leapslot/ota/simulator"
)

// The picker is the list from which devices are chosen one by one (P19, P28): those that
// the package may go to, found by a part of their names and by group, page by page. Its
// buttons send the whole form, so it works without JavaScript; with it only the picker is
// drawn anew.
//
// Inputs: Find, FindGroup and FindPage say which devices are listed, Listed are those that
// were on the page, and Picked the ones of them with a mark.
type picker struct {
	Rows                 []picked
	Find, Group          string
	Groups               []option
	From, To, Total      int
	Page, Previous, Next int // 0 is none
	Chosen               int // devices, on this page and elsewhere
}

type picked struct {
	simulator.Device
	Version string
	Picked  bool
}

// pickerSize is how many devices the picker lists at once.
const pickerSize = 20

// picking reports whether a form was sent for its picker, and not to be carried out.
func (f *form) picking() bool {
	return f.yes("List") || f.yes("FindPage") || f.yes("AddAll") || f.yes("Clear")
}

// names are the devices that a form names, each once, in the order given: those of its
// text, and with them what was marked in the picker and without what was unmarked there.
func (f *form) names() []string {
	marked := map[string]bool{}
	for _, name := range f.Values["Listed"] {
		marked[name] = false
	}
	for _, name := range f.Values["Picked"] {
		marked[name] = true
	}
	var out []string
	seen := map[string]bool{}
	add := func(name string) {
		if on, listed := marked[name]; name != "" && !seen[name] && (on || !listed) {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, lines := range f.Values["Devices"] {
		for name := range strings.FieldsFuncSeq(lines, func(r rune) bool { return r == '\n' || r == ',' || r == '\r' }) {
			add(strings.TrimSpace(name))
		}
	}
	for _, name := range f.Values["Picked"] {
		add(strings.TrimSpace(name))
	}
	return out
}

// settle puts the devices that were marked into the form's text.
func (f *form) settle(names []string) {
	f.Values.Set("Devices", strings.Join(names, "\n"))
	f.Values.Del("Picked")
	f.Values.Del("Listed")
}

// find is what the picker looks for.
func (f *form) find(p *simulator.Package, sources []string) simulator.FindCandidates {
	return simulator.FindCandidates{Package: p.ID, Sources: sources, Name: f.text("Find"), Group: f.text("FindGroup")}
}

// addAll chooses every device that the picker has found, at most most of them.
func (v *visit) addAll(f *form, p *simulator.Package, names []string, most int) ([]string, error) {
	have := make(map[string]bool, len(names))
	for _, name := range names {
		have[name] = true
	}
	cmd := f.find(p, nil)
	for len(names) < most {
		part, err := look[simulator.Candidates](v, cmd)
		if err != nil {
			return nil, err
		}
		for i := range part.Devices {
			if name := part.Devices[i].Name; !have[name] && len(names) < most {
				names = append(names, name)
			}
		}
		if cmd.From = part.Next; part.Next == 0 {
			break
		}
	}
	return names, nil
}

// picker lists the devices that a form may choose from, with those marked that it names.
func (v *visit) picker(f *form, p *simulator.Package, sources, names []string) (*picker, error) {
	page := max(f.number("FindPage", 1), 1)
	if f.yes("List") {
		page = 1
	}
	cmd := f.find(p, sources)
	cmd.Limit, cmd.Skip, cmd.Count = pickerSize, (min(page, 1_000_000)-1)*pickerSize, true
	found, err := look[simulator.Candidates](v, cmd)
	if err != nil {
		return nil, err
	}
	groups, err := v.groupList()
	if err != nil {
		return nil, err
	}
	out := &picker{
		Find: cmd.Name, Group: cmd.Group, Total: found.Total, Page: page, Chosen: len(names), Groups: []option{{Label: v.t("all")}},
		From: min(cmd.Skip+1, found.Total), To: min(cmd.Skip+pickerSize, found.Total),
	}
	if page > 1 {
		out.Previous = page - 1
	}
	if out.To < found.Total {
		out.Next = page + 1
	}
	for _, g := range groups {
		out.Groups = append(out.Groups, option{Value: g.ID, Label: g.Name, Chosen: g.ID == cmd.Group})
	}
	for i := range found.Devices {
		d := found.Devices[i]
		d.Secret = ""
		out.Rows = append(out.Rows, picked{d, d.Version(p.Module), slices.Contains(names, d.Name)})
	}
	return out, nil
}

// pickBatch answers a batch's form that was sent for its picker.
func (v *visit) pickBatch(f *form) error {
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: v.r.PathValue("package")})
	if err != nil {
		return err
	}
	names := f.names()
	switch {
	case f.yes("AddAll"):
		if names, err = v.addAll(f, &p, names, simulator.MaxTargets); err != nil {
			return err
		}
	case f.yes("Clear"):
		names = nil
	}
	f.settle(names)
	return v.showBatch(f, nil)
}

// wanted looks the devices of a file up, and says by row which are not there.
func (v *visit) wanted(f *form, product string, names []string, rows []int) error {
	found, err := v.devices(product, names)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(found))
	for i := range found {
		there[found[i].Name] = true
	}
	var wrong []string
	missing := 0
	for i, name := range names {
		if there[name] {
			continue
		}
		if missing++; missing <= maxMissing {
			wrong = append(wrong, v.t("list.row", "row", rows[i], "text", v.t("list.missing", "name", name)))
		}
	}
	if more := missing - len(wrong); more > 0 {
		wrong = append(wrong, v.t("list.more", "n", more))
	}
	if missing > 0 {
		f.wrong("List", strings.Join(wrong, "\n"))
	}
	return nil
}

// maxMissing is the most rows that are named of devices that are not there.
const maxMissing = 10
