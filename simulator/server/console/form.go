package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/leapslot/ota/simulator"
)

// maxForm is the most bytes of a form without its file.
const maxForm = 1 << 20

// form is what a user has filled in, and what is wrong with it. Inputs are named as the
// fields of the model's commands, so that a refusal finds its input.
type form struct {
	Values url.Values
	Errs   map[string]string // by input
	Top    string            // what is of no input

	v *visit
}

// blank is a form that nobody has filled in; pairs are names and values it begins with.
func (v *visit) blank(pairs ...string) *form {
	f := &form{Values: url.Values{}, Errs: map[string]string{}, v: v}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			f.Values.Set(pairs[i], pairs[i+1])
		}
	}
	return f
}

// filled reads the form of a POST that has no file.
func (v *visit) filled() (*form, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return nil, badForm(err)
	}
	f := v.blank()
	f.Values = v.r.PostForm
	return f, nil
}

func badForm(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return trouble(http.StatusRequestEntityTooLarge, "error.long", "n", long.Limit)
	}
	return trouble(http.StatusBadRequest, "error.form")
}

func (f *form) text(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// texts are all values of a name that are not empty.
func (f *form) texts(name string) []string {
	var out []string
	for _, s := range f.Values[name] {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// number reads a number; none is what an empty input stands for.
func (f *form) number(name string, none int) int {
	s := f.text(name)
	if s == "" {
		return none
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		f.wrong(name, f.v.t("form.number"))
	}
	return n
}

func (f *form) yes(name string) bool { return f.text(name) != "" }

// wrong says what is wrong with an input; the first word counts.
func (f *form) wrong(name, text string) {
	if f.Errs[name] == "" {
		f.Errs[name] = text
	}
}

func (f *form) ok() bool { return len(f.Errs) == 0 && f.Top == "" }

// refused puts the model's refusal beside the input that it is about: one of inputs, and
// else on top of the form. An input that is not called as the model's field is given as
// Field=Input. Any other error is given back.
func (f *form) refused(err error, inputs ...string) error {
	var no *simulator.Error
	if !errors.As(err, &no) {
		return err
	}
	for _, in := range inputs {
		field, input, other := strings.Cut(in, "=")
		if !other {
			input = field
		}
		if field == no.Field {
			f.wrong(input, f.v.refusal(err))
			return nil
		}
	}
	f.Top = f.v.refusal(err)
	return nil
}

// again shows the form's page once more, with what is wrong.
func (f *form) again(page, title string, data map[string]any) error {
	f.v.status = http.StatusUnprocessableEntity
	data["Form"] = f
	return f.v.page(page, title, data)
}

// input is one input of a form, as the templates show it.
type input struct {
	Name, ID, Label, Hint, Err string
	Value, Type                string
	Required                   bool
	Options                    []option
}

// option is one of several values to choose from.
type option struct {
	Value, Label, Hint string
	Chosen             bool
}

// In describes an input. Its label is a text of the catalog, and so is its hint, under
// the same key with ".hint" behind it. kind is the type, with "!" behind it when a value
// is needed.
func (f *form) In(name, label, kind string) input {
	kind, required := strings.CutSuffix(kind, "!")
	in := input{Name: name, ID: "in-" + name, Label: f.v.t(label), Err: f.Errs[name], Value: f.Values.Get(name), Type: kind, Required: required}
	if hint := f.v.t(label + ".hint"); hint != label+".hint" {
		in.Hint = hint
	}
	return in
}

// Say gives the input another hint.
func (in input) Say(hint string) input {
	in.Hint = hint
	return in
}

// Choose describes an input with options, which the templates show as a list or as
// buttons.
func (f *form) Choose(name, label, kind string, options []option) input {
	in := f.In(name, label, kind)
	for _, o := range options {
		o.Chosen = slices.Contains(f.Values[name], o.Value)
		in.Options = append(in.Options, o)
	}
	return in
}

// Words describes an input whose options are words of the catalog: label.VALUE.
func (f *form) Words(name, label, kind string, values ...string) input {
	options := make([]option, 0, len(values))
	for _, value := range values {
		o := option{Value: value, Label: f.v.t(label + "." + value)}
		if hint := label + "." + value + ".hint"; f.v.t(hint) != hint {
			o.Hint = f.v.t(hint)
		}
		options = append(options, o)
	}
	return f.Choose(name, label, kind, options)
}
