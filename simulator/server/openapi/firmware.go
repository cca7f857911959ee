package openapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
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
	// Which product it is for is not known yet: CreateOTAFirmware knows what its rules allow.
	if all := simulator.SuffixesNow(); !slices.Contains(all, suffix) {
		p.fail(invalid("FileSuffix", "is %q, allowed are %s", suffix, strings.Join(all, " ")))
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

type firmwareMade struct{ FirmwareId, UtcCreate string }

func createFirmware(p *reader) call {
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
	claims := readClaims(p)
	return func(ctx context.Context, s session) (answer, error) {
		for _, c := range claims {
			file, err := s.uploaded(c, cmd.SignMethod)
			if err != nil {
				return nil, err
			}
			cmd.Files = append(cmd.Files, file)
		}
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
	MultiFiles     []packageFile `json:",omitempty" xml:",omitempty"` // none for one file
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
		files, err := s.packageFiles(&found)
		if err != nil {
			return nil, err
		}
		return &firmwareDetail{FirmwareInfo: firmwareInfo{info, found.UDI, found.Progress, files}}, nil
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
		f.FirmwareUrl, err = s.link(p, &p.Files[0])
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
