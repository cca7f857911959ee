package ota

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The wire. The order of the fields is that of the live service; extData stands
// last because the C SDK takes the first textual "key": at any depth.
type wireNotice struct {
	Code    text            `json:"code"`
	Data    json.RawMessage `json:"data"`
	ID      json.RawMessage `json:"id,omitempty"`
	Message string          `json:"message"`
}

type wireData struct {
	Size         number          `json:"size,omitempty"`
	StreamID     number          `json:"streamId,omitempty"`
	Sign         string          `json:"sign,omitempty"`
	DProtocol    string          `json:"dProtocol,omitempty"`
	Version      text            `json:"version"`
	IsDiff       json.RawMessage `json:"isDiff,omitempty"`
	Files        []wireFile      `json:"files,omitempty"`
	SignMethod   string          `json:"signMethod,omitempty"`
	URL          string          `json:"url,omitempty"`
	StreamFileID number          `json:"streamFileId,omitempty"`
	MD5          string          `json:"md5,omitempty"`
	DigestSign   string          `json:"digestsign,omitempty"`
	Module       string          `json:"module,omitempty"`
	ExtData      json.RawMessage `json:"extData,omitempty"`
}

type wireFile struct {
	Size number `json:"fileSize"`
	Name string `json:"fileName,omitempty"`
	URL  string `json:"fileUrl"`
	MD5  string `json:"fileMd5,omitempty"`
	Sign string `json:"fileSign,omitempty"`
}

// EncodePush gives the notice as the platform pushes it on [TopicUpgrade].
func EncodePush(n Notice) ([]byte, error) {
	data, err := n.data()
	if err != nil {
		return nil, err
	}
	return encode(struct {
		Code    string   `json:"code"`
		Data    wireData `json:"data"`
		ID      int64    `json:"id"`
		Message string   `json:"message"`
	}{"1000", data, n.ID, "success"}), nil
}

// EncodeGetReply gives the answer to a [Get] with the same id: the notice, or
// with nil that there is nothing to do.
func EncodeGetReply(id string, n *Notice) ([]byte, error) {
	reply := struct {
		ID      string `json:"id"`
		Code    int    `json:"code"`
		Data    any    `json:"data"`
		Message string `json:"message"`
	}{id, 200, struct{}{}, "success"}
	if n != nil {
		data, err := n.data()
		if err != nil {
			return nil, err
		}
		reply.Data = data
	}
	return encode(reply), nil
}

func (n Notice) data() (wireData, error) {
	if n.Module == "" {
		n.Module = DefaultModule
	}
	if err := n.Validate(); err != nil {
		return wireData{}, fmt.Errorf("notice cannot be sent: %w", err)
	}
	d := wireData{Version: text(n.Version), SignMethod: string(n.SignMethod), DigestSign: n.DigestSign, ExtData: n.extData()}
	if n.Module != DefaultModule {
		d.Module = n.Module
	}
	if n.IsDiff {
		d.IsDiff = json.RawMessage("1")
	}
	if n.Stream != nil {
		d.DProtocol, d.StreamID, d.StreamFileID = "mqtt", number(n.Stream.ID), number(n.Stream.FileID)
	}
	if len(n.Files) == 1 {
		f := n.Files[0]
		d.Size, d.URL, d.Sign, d.MD5 = number(f.Size), f.URL, strings.ToLower(f.Sign), strings.ToLower(f.MD5)
		return d, nil
	}
	for _, f := range n.Files {
		d.Files = append(d.Files, wireFile{number(f.Size), f.Name, f.URL, strings.ToLower(f.MD5), strings.ToLower(f.Sign)})
	}
	return d, nil
}

func (n Notice) extData() json.RawMessage {
	if len(n.Tags) == 0 && n.UDI == "" {
		return nil
	}
	ext := make(map[string]string, len(n.Tags)+1)
	for k, v := range n.Tags {
		ext[k] = v
	}
	if n.UDI != "" {
		ext[udiKey] = n.UDI
	}
	return encode(ext)
}

// DecodeNotice reads a push or an answer to a get, in every form that protocol
// section 3 lists; replyTo is the id of the answered message, for what it is
// worth. When the message announces something that is not acceptable, the
// returned notice has what could be read of it, so that the failure can be
// reported for its module, and the error says why. ErrNothing: it announces
// nothing.
func DecodeNotice(payload []byte) (n Notice, replyTo string, err error) {
	var w wireNotice
	if err := decode(payload, &w); err != nil {
		return n, "", err
	}
	if err := refuseDoubles(payload); err != nil {
		return n, "", err
	}
	if w.Code != "1000" && w.Code != "200" {
		return n, "", badf("code %.20q is neither 1000 nor 200: %.200s", string(w.Code), w.Message)
	}
	var id text
	if len(w.ID) > 0 {
		if err := id.UnmarshalJSON(w.ID); err != nil || len(id) > maxIDLen {
			return n, "", badf("id %.80s is neither a number nor a short string", w.ID)
		}
	}
	replyTo = string(id)
	var data wireData
	if len(w.Data) == 0 || string(w.Data) == "null" {
		return n, replyTo, ErrNothing
	}
	if err := decode(w.Data, &data); err != nil {
		return n, replyTo, err
	}
	if data.Version == "" && data.URL == "" && data.Sign == "" && len(data.Files) == 0 && data.StreamID == 0 {
		return n, replyTo, ErrNothing
	}
	n, err = data.notice()
	var num number
	if len(w.ID) > 0 && num.UnmarshalJSON(w.ID) == nil {
		n.ID = int64(num)
	}
	if err != nil {
		return n, replyTo, badf("%v", err)
	}
	return n, replyTo, nil
}

func (d wireData) notice() (Notice, error) {
	n := Notice{Module: d.Module, Version: string(d.Version), DigestSign: d.DigestSign}
	if n.Module == "" {
		n.Module = DefaultModule
	}
	var isDiff flag
	if len(d.IsDiff) > 0 {
		if err := isDiff.UnmarshalJSON(d.IsDiff); err != nil {
			return n, fmt.Errorf("isDiff: %w", err)
		}
	}
	n.IsDiff = bool(isDiff)
	if d.SignMethod == "" {
		d.SignMethod = string(MD5)
	}
	var err error
	if n.SignMethod, err = ParseSignMethod(d.SignMethod); err != nil {
		return n, err
	}
	if strings.EqualFold(d.DProtocol, "mqtt") {
		if d.StreamID == 0 {
			return n, errors.New("dProtocol is mqtt, but there is no streamId")
		}
		n.Stream = &Stream{ID: int64(d.StreamID), FileID: int64(d.StreamFileID)}
	}
	files := d.Files
	if len(files) == 0 {
		files = []wireFile{{Size: d.Size, URL: d.URL, MD5: d.MD5, Sign: d.Sign}}
	}
	for _, f := range files[:min(len(files), MaxFiles+1)] {
		if f.Sign == "" && n.SignMethod == MD5 {
			f.Sign = f.MD5
		}
		n.Files = append(n.Files, File{f.Name, int64(f.Size), f.URL, strings.ToLower(f.Sign), strings.ToLower(f.MD5)})
	}
	if err := n.readExtData(d.ExtData); err != nil {
		return n, err
	}
	return n, n.Validate()
}

// readExtData keeps the members of extData that are strings or numbers; it may
// be any JSON, and what else it holds is not for us.
func (n *Notice) readExtData(raw json.RawMessage) error {
	if len(raw) > MaxExtDataLen {
		return fmt.Errorf("extData has %d bytes, allowed are at most %d", len(raw), MaxExtDataLen)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	for k, v := range members {
		var s text
		if s.UnmarshalJSON(v) != nil {
			continue
		}
		if k == udiKey {
			n.UDI = string(s)
			continue
		}
		if n.Tags == nil {
			n.Tags = make(map[string]string)
		}
		n.Tags[k] = string(s)
	}
	return nil
}
