package openapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
)

// UploadForm is what GenerateOTAUploadURL gives: where a package file is sent, and
// the fields that allow it. FirmwareUrl then names the file in CreateOTAFirmware.
type UploadForm struct {
	Host           string // an absolute URL that the form is posted to
	Key            string
	Policy         string
	OssAccessKeyId string
	Signature      string
	FirmwareUrl    string
}

// Upload sends a file of size bytes with the form, streaming. It is not bounded in
// time but by ctx.
func Upload(ctx context.Context, form UploadForm, file io.Reader, size int64) error {
	var head bytes.Buffer
	m := multipart.NewWriter(&head)
	for _, field := range [][2]string{
		{"key", form.Key}, {"policy", form.Policy}, {"OSSAccessKeyId", form.OssAccessKeyId},
		{"Signature", form.Signature}, {"success_action_status", "200"},
	} {
		if err := m.WriteField(field[0], field[1]); err != nil {
			return fmt.Errorf("upload: %w", err)
		}
	}
	// The file comes last: a store reads no field after it.
	if _, err := m.CreateFormFile("file", path.Base(form.Key)); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	tail := "\r\n--" + m.Boundary() + "--\r\n"
	body := io.MultiReader(&head, io.LimitReader(file, size), bytes.NewReader([]byte(tail)))
	length := int64(head.Len()) + size + int64(len(tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, form.Host, body)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", m.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("upload: the store was not reached: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("upload: HTTP status %d: %s", resp.StatusCode, bytes.TrimSpace(said))
	}
	return nil
}
