package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// The actions that --file belongs to.
const (
	uploadAction = "GenerateOTAUploadURL"
	listAction   = "GenerateDeviceNameListURL" // for a CSV file of device names
)

// upload sends the file with the form of the answer.
func upload(ctx context.Context, action string, file *os.File, answer json.RawMessage) error {
	form, err := formOf(action, answer)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("cloud: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cloud: %s is no regular file (give --file a file)", filepath.Base(file.Name()))
	}
	if err := openapi.Upload(ctx, form, file, info.Size()); err != nil {
		return fmt.Errorf("%s: %w (a form is valid for one minute: try again)", action, err)
	}
	return nil
}

// formOf reads the form of an answer. The two actions have other names for its fields.
func formOf(action string, answer json.RawMessage) (openapi.UploadForm, error) {
	var pack struct{ Data openapi.UploadForm }
	var list struct{ Data openapi.DeviceListForm }
	err := json.Unmarshal(answer, &pack)
	if action == listAction {
		err = json.Unmarshal(answer, &list)
		pack.Data = list.Data.Upload()
	}
	if err != nil || pack.Data.Host == "" {
		return pack.Data, fmt.Errorf("%s: the answer has no form to upload with (is this an otasim?)", action)
	}
	return pack.Data, nil
}
