package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Limits of patches that are made here. Larger ones are otapack's, on a build host.
const (
	maxPatchImage  = 64 << 20
	maxPatchMemory = 512 << 20 // beside the two images
)

// patchSources are the packages that a patch to p can be made from: whole, raw images of
// the same module. What is compressed is not what a device has in its slot.
func (v *visit) patchSources(p *simulator.Package) ([]option, error) {
	if !patchable(p) {
		return nil, nil
	}
	list, _, err := v.Store.Packages(v.r.Context(), store.PackageFilter{Account: v.account, Product: p.Product, Module: p.Module}, store.Page{Number: 1, Size: simulator.MaxPackages})
	if err != nil {
		return nil, err
	}
	var out []option
	for i := range list {
		if q := &list[i]; patchable(q) && q.Version != p.Version {
			out = append(out, option{Value: q.ID, Label: q.Name + " " + q.Version})
		}
	}
	return out, nil
}

func patchable(p *simulator.Package) bool {
	return !p.Diff && len(p.Files) == 1 && strings.HasSuffix(strings.ToLower(p.Files[0].Name), ".bin") && p.Files[0].Size <= maxPatchImage
}

// makePatch makes a diff package of two whole ones.
func (v *visit) makePatch() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	to, err := look[simulator.Package](v, simulator.FindPackage{Package: v.r.PathValue("package")})
	if err != nil {
		return err
	}
	from, err := look[simulator.Package](v, simulator.FindPackage{Package: f.text("From")})
	if err != nil {
		return err
	}
	if !patchable(&to) || !patchable(&from) || from.Product != to.Product || from.Module != to.Module || from.Version == to.Version {
		return v.stay(trouble(http.StatusUnprocessableEntity, "patch.cannot"), link("packages", to.ID), v.packagePage)
	}
	if !v.patching.TryLock() { // one at a time: it takes memory and both processors
		return v.stay(trouble(http.StatusServiceUnavailable, "patch.busy"), link("packages", to.ID), v.packagePage)
	}
	defer v.patching.Unlock()
	file, err := v.patch(v.r.Context(), &from, &to)
	if err != nil {
		return err
	}
	cmd := simulator.CreatePackage{
		Product: to.Product, Module: to.Module, Name: f.text("Name"), Diff: true, Source: from.Version, Version: to.Version,
		SignMethod: to.SignMethod, UDI: "", NeedToVerify: true, Files: []simulator.File{*file},
	}
	made, err := change[simulator.Package](v, "CreateOTAFirmware", "FirmwareName="+cmd.Name+" from="+from.ID+" to="+to.ID, cmd)
	if err != nil {
		return v.stay(err, link("packages", to.ID), v.packagePage)
	}
	v.say("patch.made", "size", sizeText(made.Size()), "whole", sizeText(to.Size()))
	return v.to(link("packages", made.ID))
}

// patch makes the patch and stores it.
func (v *visit) patch(ctx context.Context, from, to *simulator.Package) (*simulator.File, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	old, err := v.image(from)
	if err != nil {
		return nil, err
	}
	next, err := v.image(to)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	made := make(chan error, 1)
	go func() {
		err := diff.Make(ctx, w, old, next, diff.Options{MaxMemory: maxPatchMemory})
		w.CloseWithError(err)
		made <- err
	}()
	stored, err := v.Files.Put(r)
	r.CloseWithError(errors.New("the patch is not wanted any more"))
	cancel()
	if wrong := <-made; err != nil || wrong != nil {
		return nil, errors.Join(wrong, err)
	}
	return &simulator.File{Name: "patch.bin", Key: stored.ID, Size: stored.Size, MD5: stored.MD5, SHA256: stored.SHA256}, nil
}

func (v *visit) image(p *simulator.Package) ([]byte, error) {
	file, err := v.Files.OpenFile(p.Files[0].Key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxPatchImage))
}
