package openapi

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

const (
	maxID           = 64 // characters of the cloud's own ids
	maxURL          = 1024
	firmwarePage    = 10
	maxFirmwarePage = 100
	linkValid       = 24 * time.Hour // of the FirmwareUrl that a user is shown
	linkName        = "cloud-api"    // stands for the device and the task in that URL
	typeFull        = 0
	typeDiff        = 1
)

// generateUpload mints a form that uploads one file (P3).
func generateUpload(p *reader) call {
	suffix := "." + strings.TrimPrefix(p.text("FileSuffix", 16), ".")
	if suffix == "." {
		suffix = ".bin"
	}
	if !slices.Contains(simulator.Suffixes(), suffix) {
		p.fail(invalid("FileSuffix", "is %q, allowed are %s", suffix, strings.Join(simulator.Suffixes(), " ")))
	}
	return func(_ context.Context, s session) (answer, error) {
		u, err := s.uploads.NewUpload(s.now(), suffix)
		if err != nil {
			return nil, err
		}
		return data(struct {
			UploadForm
			ObjectStorage, UtcCreate string
		}{
			UploadForm{u.Host, u.Key, u.Policy, u.AccessKeyID, u.Signature, u.FileURL},
			"OSS", s.now().UTC().Format(utcFormat),
		}), nil
	}
}

// claim is what CreateOTAFirmware says about the uploaded file.
type claim struct {
	url, sign string
	size      int64 // 0: not said
}

type firmwareMade struct{ FirmwareId, UtcCreate string }

func createFirmware(p *reader) call {
	p.later("MultiFiles")
	cmd := simulator.CreatePackage{
		Product:      p.need("ProductKey", maxKey),
		Module:       p.text("ModuleName", maxText),
		Name:         p.need("FirmwareName", maxText),
		Desc:         p.text("FirmwareDesc", maxText),
		Diff:         p.number("Type", typeFull, typeFull, typeDiff) == typeDiff,
		Source:       p.text("SrcVersion", maxText),
		Version:      p.need("DestVersion", maxText),
		UDI:          p.text("Udi", maxValueLen),
		NeedToVerify: p.yes("NeedToVerify", true),
		SignMethod:   readMethod(p),
	}
	said := claim{
		url:  p.need("FirmwareUrl", maxURL),
		sign: p.text("FirmwareSign", 128),
		size: p.number("FirmwareSize", 0, 1, simulator.MaxFileSize),
	}
	return func(ctx context.Context, s session) (answer, error) {
		file, err := s.uploaded(said, cmd.SignMethod)
		if err != nil {
			return nil, err
		}
		cmd.Files = []simulator.File{file}
		made, err := do[simulator.Package](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		return data(firmwareMade{made.ID, utc(made.Created)}), nil
	}
}

func readMethod(p *reader) ota.SignMethod {
	s := p.text("SignMethod", 16)
	if s == "" {
		return ota.MD5
	}
	m, err := ota.ParseSignMethod(s)
	if err != nil {
		p.fail(invalid("SignMethod", "is %q, allowed are MD5 and SHA256", shorten(s)))
	}
	return m
}

// uploaded finds the file of a claim and checks that it is the one meant: a wrong
// size or digest means that something else was uploaded than the user thinks.
func (s session) uploaded(said claim, m ota.SignMethod) (simulator.File, error) {
	f, err := s.uploads.Lookup(s.now(), said.url)
	switch {
	case errors.Is(err, packages.ErrNotFound):
		return simulator.File{}, business(roomOTA+".FileNotUploaded", "FirmwareUrl: there is no uploaded file of this URL: use the FirmwareUrl of GenerateOTAUploadURL after the upload")
	case errors.Is(err, packages.ErrStale):
		return simulator.File{}, business(roomOTA+".FileNotUploaded", "FirmwareUrl: the file was uploaded more than %v ago: upload it again", packages.ClaimWithin)
	case err != nil:
		return simulator.File{}, err
	}
	file := simulator.File{Name: path.Base(said.url), Key: f.ID, Size: f.Size, MD5: f.MD5, SHA256: f.SHA256}
	if said.size != 0 && said.size != f.Size {
		return file, invalid("FirmwareSize", "is %d, but %d bytes were uploaded", said.size, f.Size)
	}
	if have := file.Sign(m); said.sign != "" && !strings.EqualFold(said.sign, have) {
		return file, invalid("FirmwareSign", "is not the %s digest of what was uploaded, %s", signName(m), have)
	}
	return file, nil
}

// signName is the method's name in the API, other than on the wire.
func signName(m ota.SignMethod) string { return strings.ToUpper(string(m)) }

// simpleFirmware is a package in a list.
type simpleFirmware struct {
	ProductKey, ProductName, ModuleName, FirmwareId, FirmwareName, FirmwareDesc string
	SrcVersion, DestVersion, SignMethod, FirmwareSign, FirmwareUrl              string
	UtcCreate, UtcModified                                                      string
	FirmwareSize                                                                int64
	Type, Status                                                                int
}

type firmwareInfo struct {
	simpleFirmware
	Udi            string
	VerifyProgress int
}

type firmwareDetail struct {
	head
	FirmwareInfo firmwareInfo
}

func queryFirmware(p *reader) call {
	id := p.need("FirmwareId", maxID)
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: id})
		if err != nil {
			return nil, err
		}
		info, err := s.firmware(ctx, &found)
		if err != nil {
			return nil, err
		}
		return &firmwareDetail{FirmwareInfo: firmwareInfo{info, found.UDI, found.Progress}}, nil
	}
}

// firmware describes a package.
func (s session) firmware(ctx context.Context, p *simulator.Package) (simpleFirmware, error) {
	of, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: p.Product})
	if err != nil {
		return simpleFirmware{}, err
	}
	f := simpleFirmware{
		ProductKey: p.Product, ProductName: of.Name, ModuleName: p.Module, FirmwareId: p.ID, FirmwareName: p.Name, FirmwareDesc: p.Desc,
		SrcVersion: p.Source, DestVersion: p.Version, SignMethod: signName(p.SignMethod),
		UtcCreate: utc(p.Created), UtcModified: utc(p.Modified), FirmwareSize: p.Size(), Status: int(p.Status),
	}
	if p.Diff {
		f.Type = typeDiff
	}
	if len(p.Files) == 1 {
		f.FirmwareSign = p.Files[0].Sign(p.SignMethod)
		f.FirmwareUrl, err = s.uploads.SignURL(ota.Device{ProductKey: p.Product, Name: linkName}, linkName, p.Files[0].Key, s.now().Add(linkValid))
	}
	return f, err
}

type firmwareList struct {
	head
	Total, PageSize, PageCount, CurrentPage int
	FirmwareInfo                            struct{ SimpleFirmwareInfo []simpleFirmware }
}

func listFirmware(p *reader) call {
	f := store.PackageFilter{Product: p.text("ProductKey", maxKey), Version: p.text("DestVersion", maxText)}
	pg := p.page(firmwarePage, maxFirmwarePage)
	return func(ctx context.Context, s session) (answer, error) {
		f.Account = s.who.Account
		found, total, err := s.lists.Packages(ctx, f, pg.ofStore())
		if err != nil {
			return nil, err
		}
		a := &firmwareList{Total: total, PageSize: pg.Size, PageCount: pg.Count(total), CurrentPage: pg.Number}
		a.FirmwareInfo.SimpleFirmwareInfo = []simpleFirmware{}
		for i := range found {
			info, err := s.firmware(ctx, &found[i])
			if err != nil {
				return nil, err
			}
			a.FirmwareInfo.SimpleFirmwareInfo = append(a.FirmwareInfo.SimpleFirmwareInfo, info)
		}
		return a, nil
	}
}
