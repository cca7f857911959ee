package openapi

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
)

// head begins every answer of an action.
type head struct {
	RequestId    string
	Success      bool
	Code         string `json:",omitempty" xml:",omitempty"`
	ErrorMessage string `json:",omitempty" xml:",omitempty"`
}

func (h *head) begin(id string) { h.RequestId, h.Success = id, true }

// answer is what an action gives: a struct that embeds head, and whose fields have
// the names of the wire.
type answer interface{ begin(requestID string) }

// done is the answer of an action that has nothing to tell.
type done struct{ head }

// dataAnswer is the usual answer: Data holds what was asked for.
type dataAnswer[T any] struct {
	head
	Data T
}

func data[T any](d T) *dataAnswer[T] { return &dataAnswer[T]{Data: d} }

// refusal is the answer when the request itself is wrong.
type refusal struct {
	RequestId string
	HostId    string
	Code      string
	Message   string
}

const (
	formatJSON = "JSON"
	formatXML  = "XML"
)

// write sends a body as JSON or XML. root is the name of the XML's outermost
// element.
func write(w http.ResponseWriter, status int, format, root string, body any) error {
	var buf bytes.Buffer
	kind := "application/json;charset=utf-8"
	var err error
	if format == formatXML {
		kind = "text/xml;charset=utf-8"
		buf.WriteString(`<?xml version="1.0" encoding="UTF-8"?>`)
		err = xml.NewEncoder(&buf).EncodeElement(body, xml.StartElement{Name: xml.Name{Local: root}})
	} else {
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false)
		err = e.Encode(body)
		buf.Truncate(max(buf.Len()-1, 0)) // the newline that Encode adds
	}
	if err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	h.Set("Cache-Control", "no-store") // answers carry secrets of devices
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // a client that left is not our failure
	return nil
}

// writeFault answers with a fault, in the shape that its status asks for.
func writeFault(w http.ResponseWriter, format, requestID, host string, f *Fault) error {
	if f.Status == http.StatusOK {
		return write(w, f.Status, format, "ActionResponse", &done{head{RequestId: requestID, Code: f.Code, ErrorMessage: f.Message}})
	}
	return write(w, f.Status, format, "Error", &refusal{RequestId: requestID, HostId: host, Code: f.Code, Message: f.Message})
}

// newRequestID gives a random id in the platform's form, an upper-case UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
