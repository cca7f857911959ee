package uboot

import (
	"fmt"
	"maps"
	"strings"

	"github.com/leapslot/ota/platform/internal/disk"
)

// DefaultConfig is where Linux systems describe U-Boot's environment.
const DefaultConfig = "/etc/fw_env.config"

// Env is U-Boot's environment as it was read, for tools that look into it. It
// is for one goroutine at a time.
type Env struct {
	c    *copies
	vars variables
	was  []byte // the copy that was read; nil when none is whole
	bad  string // what is wrong with the other copies
}

// Open reads the environment that the file config, in the format of
// fw_env.config, leads to. It changes nothing. [ErrDamaged] means that no copy
// is whole.
func Open(config string) (*Env, error) {
	c, err := find(config)
	if err != nil {
		return nil, err
	}
	e, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return e, nil
}

// find follows a fw_env.config of the real system.
func find(config string) (*copies, error) {
	lines, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	c, err := locate(disk.OS{}, kindOf, lines)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	c.lock, c.onRoot = toolsLock, onRoot
	return c, nil
}

// open reads the environment. With ErrDamaged it gives an empty one, in which
// all can be set and saved.
func open(c *copies) (*Env, error) {
	e := &Env{c: c}
	return e, e.load()
}

func (e *Env) load() error {
	images, active, err := e.c.load()
	if err != nil {
		return err
	}
	e.vars, e.was = images[active].vars, images[active].raw
	e.bad = e.c.problems(images)
	return nil
}

// Get gives the value of a variable, and whether there is one. U-Boot takes an
// empty value for none.
func (e *Env) Get(name string) (value string, ok bool) { return e.vars.get(name) }

// All gives all variables and their values.
func (e *Env) All() map[string]string {
	all := map[string]string{}
	for _, entry := range e.vars {
		name, _, _ := strings.Cut(entry, "=")
		if value, ok := e.Get(name); ok {
			all[name] = value
		}
	}
	return all
}

// Damage says which copies are not whole although another one is, or "". The
// next Save repairs them.
func (e *Env) Damage() string { return e.bad }

// Set changes variables, or removes those whose value is empty. The medium is
// not changed until [Env.Save]. All other variables, and the order of all, stay
// as they are.
func (e *Env) Set(change map[string]string) error {
	for name, value := range change {
		if err := checkVariable(name, value); err != nil {
			return err
		}
	}
	next := e.vars.set(change)
	if _, err := encode(next, 0, e.c.redundant, false, e.c.size); err != nil {
		return err
	}
	e.vars = next
	return nil
}

// Save writes all variables at once and returns nil when U-Boot will find them,
// which was read back from the medium. On an error, or after a power cut, it
// finds those from before or these, in every kind of environment but one: a
// single copy without a file beside it, whose only copy is overwritten. Save
// fails when somebody else has changed the environment since it was read.
func (e *Env) Save() error {
	want := e.vars
	if err := e.c.save(want, e.was); err != nil {
		return err
	}
	if err := e.load(); err != nil {
		return err
	}
	if !maps.Equal(e.All(), (&Env{vars: want}).All()) {
		return fmt.Errorf("the environment was written, and another one counts: it was changed by somebody else")
	}
	return nil
}
