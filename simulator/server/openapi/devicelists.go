package openapi

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
)

// Limits of a list: by the source document, and with the option LatestLimits (P29).
const (
	maxListFile    = 5 << 20  // bytes
	maxListFileNow = 80 << 20 // a million names of the longest
)

// DeviceListForm is what GenerateDeviceNameListURL gives: where a list of devices is
// sent, and FileUrl, which names it as DnListFileUrl in CreateOTAStaticUpgradeJob.
type DeviceListForm struct {
	Host        string // an absolute URL that the form is posted to
	Key         string
	Policy      string
	AccessKeyId string
	Signature   string
	FileUrl     string
	UtcCreate   string
}

// Upload is the form as Upload takes it.
func (f DeviceListForm) Upload() UploadForm {
	return UploadForm{Host: f.Host, Key: f.Key, Policy: f.Policy, OssAccessKeyId: f.AccessKeyId, Signature: f.Signature, FirmwareUrl: f.FileUrl}
}

func generateList(*reader) call {
	return func(_ context.Context, s session) (answer, error) {
		u, err := s.uploads.NewUpload(s.now(), ".csv")
		if err != nil {
			return nil, err
		}
		return data(DeviceListForm{u.Host, u.Key, u.Policy, u.AccessKeyID, u.Signature, u.FileURL, s.now().UTC().Format(utcFormat)}), nil
	}
}

// listTemplate gives the file to fill in (P29), which the platform offers in its
// console only: the action is ours.
func listTemplate(*reader) call {
	return func(context.Context, session) (answer, error) {
		return data(struct{ FileName, Content string }{"devices.csv", DeviceListTemplate}), nil
	}
}

// listed reads an uploaded list of devices for a batch of a package. Every device must
// be one of its product; those that are not are told by their rows.
func (s session) listed(ctx context.Context, url, pack string) ([]string, error) {
	of, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: pack})
	if err != nil {
		return nil, err
	}
	product, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: of.Product})
	if err != nil {
		return nil, err
	}
	most, size := simulator.MaxTargets, int64(maxListFile)
	if product.Rules.NowLimits {
		most, size = simulator.MaxTargetsNow, maxListFileNow
	}
	file, err := s.readList(url, size)
	if err != nil {
		return nil, err
	}
	found, err := ParseDeviceList(file, most)
	if err != nil {
		return nil, badList(err)
	}
	names := make([]string, len(found))
	for i := range found {
		names[i] = found[i].Name
	}
	unknown, err := do[[]int](ctx, s, simulator.FindUnknown{Product: of.Product, Names: names})
	if err != nil {
		return nil, err
	}
	var wrong DeviceListError
	for _, i := range unknown {
		wrong.add(found[i].Row, "product %s has no device %q", of.Product, names[i])
	}
	if wrong.Total > 0 {
		return nil, badList(&wrong)
	}
	return names, nil
}

func badList(err error) error { return business(codeBadList, "DnListFileUrl: %v", err) }

// readList reads an uploaded file of at most so many bytes.
func (s session) readList(url string, most int64) ([]byte, error) {
	f, err := s.uploads.Lookup(s.now(), url)
	switch {
	case errors.Is(err, packages.ErrNotFound):
		return nil, business(roomOTA+".FileNotUploaded", "DnListFileUrl: there is no uploaded file of this URL: use the FileUrl of GenerateDeviceNameListURL after the upload")
	case errors.Is(err, packages.ErrStale):
		return nil, business(roomOTA+".FileNotUploaded", "DnListFileUrl: the file was uploaded more than %v ago: upload it again", packages.ClaimWithin)
	case err != nil:
		return nil, err
	}
	if f.Size > most {
		return nil, badList(fmt.Errorf("the file has %d bytes, allowed are at most %d", f.Size, most))
	}
	file, err := s.uploads.OpenFile(f.ID)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, f.Size))
}
