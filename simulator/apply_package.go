package simulator

import (
	"encoding/hex"
	"slices"

	"github.com/leapslot/ota"
)

func (cmd CreatePackage) apply(c *Cloud, now Stamp) (any, error) {
	cmd.Module = moduleOr(cmd.Module)
	var rules Rules
	if p := c.products[cmd.Product]; p != nil {
		rules = p.Rules
	}
	if err := cmd.check(rules); err != nil {
		return nil, err
	}
	pr, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if !pr.hasModule(cmd.Module) {
		return nil, fail(NotFound, "Module", "the product has no module %q", cmd.Module)
	}
	n := 0
	for _, p := range c.packages {
		if p.Account != pr.Account {
			continue
		}
		if n++; p.Name == cmd.Name {
			return nil, fail(Exists, "Name", "there is a package named %q already", cmd.Name)
		}
	}
	if n >= MaxPackages {
		return nil, fail(Limit, "Name", "the account has %d packages already, allowed are at most %d", n, MaxPackages)
	}
	p := &pack{}
	*c.editPackage(p) = Package{
		ID: c.newID('p'), Account: pr.Account, Product: pr.Key, Module: cmd.Module,
		Name: cmd.Name, Desc: cmd.Desc, Diff: cmd.Diff, Source: cmd.Source, Version: cmd.Version,
		SignMethod: cmd.SignMethod, Files: slices.Clone(cmd.Files), UDI: cmd.UDI,
		Status: Unverified, Created: now, Modified: now, Revision: 1,
	}
	if !cmd.NeedToVerify {
		p.Status = NoVerification
	}
	c.packages[p.ID] = p
	return p.Package, nil
}

func (cmd *CreatePackage) check(r Rules) error {
	if cmd.Name == "" {
		return fail(Missing, "Name", "a package needs a name")
	}
	if err := CheckPackageName(cmd.Name); err != nil {
		return invalid("Name", err)
	}
	if err := ota.CheckText("the description", cmd.Desc, MaxDescription); err != nil {
		return invalid("Desc", err)
	}
	if err := ota.CheckText("the custom info", cmd.UDI, ota.MaxUDILen); err != nil {
		return invalid("UDI", err)
	}
	if err := ota.CheckModule(cmd.Module); err != nil {
		return invalid("Module", err)
	}
	if err := cmd.checkVersions(); err != nil {
		return err
	}
	if cmd.SignMethod.DigestLen() == 0 {
		return fail(Invalid, "SignMethod", "%q is neither %s nor %s", string(cmd.SignMethod), ota.MD5, ota.SHA256)
	}
	if len(cmd.Files) < 1 || len(cmd.Files) > ota.MaxFiles {
		return fail(Missing, "Files", "a package has 1 to %d files, not %d", ota.MaxFiles, len(cmd.Files))
	}
	for i := range cmd.Files {
		if err := cmd.Files[i].check(cmd.SignMethod, r.suffixes()); err != nil {
			return invalid("Files", err)
		}
	}
	return nil
}

// checkVersions is P12 and P14.
func (cmd *CreatePackage) checkVersions() error {
	if cmd.Version == "" {
		return fail(Missing, "Version", "a package needs a version")
	}
	if err := ota.CheckVersion(cmd.Version); err != nil {
		return invalid("Version", err)
	}
	if !cmd.Diff {
		if cmd.Source != "" {
			return fail(Invalid, "Source", "only a diff package has a source version")
		}
		return nil
	}
	if cmd.Source == "" {
		return fail(Missing, "Source", "a diff package needs a source version")
	}
	if err := ota.CheckVersion(cmd.Source); err != nil {
		return invalid("Source", err)
	}
	if cmd.Source == cmd.Version {
		return fail(Invalid, "Source", "source and target version are both %s", cmd.Version)
	}
	return nil
}

func (f *File) check(m ota.SignMethod, suffixes []string) error {
	if err := CheckFileName(f.Name, suffixes); err != nil {
		return err
	}
	if f.Size < 1 || f.Size > MaxFileSize {
		return Say("%s has %d bytes, allowed are 1 to %d (1,000 MB)", f.Name, f.Size, MaxFileSize)
	}
	for _, d := range []struct {
		name, hex string
		len       int
		needed    bool
	}{{"MD5", f.MD5, 16, m == ota.MD5}, {"SHA256", f.SHA256, 32, m == ota.SHA256}} {
		raw, err := hex.DecodeString(d.hex)
		if err != nil || len(raw) != d.len && (len(raw) > 0 || d.needed) {
			return Say("%s: %q is no %s digest", f.Name, d.hex, d.name)
		}
	}
	return nil
}
