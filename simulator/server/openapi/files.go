package openapi

import (
	"cmp"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
)

// claim is what CreateOTAFirmware says about an uploaded file: under names of its own
// when it is one of several.
type claim struct {
	url, name, sign, md5                  string
	size                                  int64 // 0: not said
	urlParam, sizeParam, signParam, md5By string
}

// readClaims reads the files of a package: one, or MultiFiles.
func readClaims(p *reader) []claim {
	const several = "MultiFiles"
	n := min(p.objects(several, ota.MaxFiles, "Url", "Name", "Size", "SignValue", "FileMd5"), ota.MaxFiles)
	if n == 0 {
		return []claim{readClaim(p, claim{urlParam: "FirmwareUrl", sizeParam: "FirmwareSize", signParam: "FirmwareSign"})}
	}
	for _, one := range []string{"FirmwareUrl", "FirmwareSize", "FirmwareSign"} {
		if p.has(one) {
			p.fail(invalid(one, "cannot stand beside %s", several))
		}
	}
	claims := make([]claim, 0, n)
	for i := range n {
		item := several + "." + strconv.Itoa(i+1) + "."
		c := readClaim(p, claim{urlParam: item + "Url", sizeParam: item + "Size", signParam: item + "SignValue", md5By: item + "FileMd5"})
		c.name, c.md5 = p.text(item+"Name", ota.MaxFileNameLen), p.text(c.md5By, 64)
		claims = append(claims, c)
	}
	return claims
}

func readClaim(p *reader, c claim) claim {
	c.url, c.sign = p.need(c.urlParam, maxURL), p.text(c.signParam, 128)
	c.size = p.number(c.sizeParam, 0, 1, simulator.MaxFileSize)
	return c
}

// uploaded finds the file of a claim and checks that it is the one meant: a wrong
// size or digest means that something else was uploaded than the user thinks.
func (s session) uploaded(said claim, m ota.SignMethod) (simulator.File, error) {
	f, err := s.uploads.Lookup(s.now(), said.url)
	switch {
	case errors.Is(err, packages.ErrNotFound):
		return simulator.File{}, business(roomOTA+".FileNotUploaded", "%s: there is no uploaded file of this URL: use the FirmwareUrl of GenerateOTAUploadURL after the upload", said.urlParam)
	case errors.Is(err, packages.ErrStale):
		return simulator.File{}, business(roomOTA+".FileNotUploaded", "%s: the file was uploaded more than %v ago: upload it again", said.urlParam, packages.ClaimWithin)
	case err != nil:
		return simulator.File{}, err
	}
	file := simulator.File{Name: cmp.Or(said.name, path.Base(said.url)), Key: f.ID, Size: f.Size, MD5: f.MD5, SHA256: f.SHA256}
	if said.size != 0 && said.size != f.Size {
		return file, invalid(said.sizeParam, "is %d, but %d bytes were uploaded", said.size, f.Size)
	}
	if have := file.Sign(m); said.sign != "" && !strings.EqualFold(said.sign, have) {
		return file, invalid(said.signParam, "is not the %s digest of what was uploaded, %s", signName(m), have)
	}
	if said.md5 != "" && !strings.EqualFold(said.md5, f.MD5) {
		return file, invalid(said.md5By, "is not the MD5 digest of what was uploaded, %s", f.MD5)
	}
	return file, nil
}

// packageFile is one of several files of a package.
type packageFile struct {
	Name, Url, SignValue, FileMd5 string
	Size                          int64
}

func (s session) packageFiles(p *simulator.Package) ([]packageFile, error) {
	if len(p.Files) == 1 {
		return nil, nil
	}
	out := make([]packageFile, 0, len(p.Files))
	for i := range p.Files {
		f := &p.Files[i]
		url, err := s.link(p, f)
		if err != nil {
			return nil, err
		}
		out = append(out, packageFile{f.Name, url, f.Sign(p.SignMethod), f.MD5, f.Size})
	}
	return out, nil
}

// link gives a URL of a file for a user.
func (s session) link(p *simulator.Package, f *simulator.File) (string, error) {
	return s.uploads.SignURL(ota.Device{ProductKey: p.Product, Name: linkName}, linkName, f.Key, s.now().Add(linkValid))
}
