package ota

// Inform reports the version of one module (protocol section 2).
type Inform struct {
	ID      string
	Module  string // DefaultModule is left out on the wire
	Version string
}

// Progress reports a step of an upgrade (protocol section 5).
type Progress struct {
	ID     string
	Module string // DefaultModule is left out on the wire
	Step   Step
	Desc   string // clipped to MaxDescLen characters when encoded
}

// Get asks for the upgrade of a module (protocol section 4).
type Get struct {
	ID     string
	Module string // DefaultModule is left out on the wire
}

// Request is the older way to ask for an upgrade, of the default module.
type Request struct {
	ID      string
	Version string // may be empty
}

type wireParams struct {
	Version text   `json:"version,omitempty"`
	Step    text   `json:"step,omitempty"`
	Desc    string `json:"desc,omitempty"`
	Module  string `json:"module,omitempty"`
}

type wireUplink struct {
	ID      text       `json:"id"`
	Version text       `json:"version,omitempty"`
	Params  wireParams `json:"params"`
	Method  string     `json:"method,omitempty"`
}

func onWire(module string) string {
	if module == DefaultModule {
		return ""
	}
	return module
}

// Encode gives the message for [TopicInform].
func (m Inform) Encode() []byte {
	return encode(wireUplink{ID: text(m.ID), Params: wireParams{Version: text(m.Version), Module: onWire(m.Module)}})
}

// Encode gives the message for [TopicProgress]. The step is a string, and desc
// is always there, as devices in the field send it.
func (m Progress) Encode() []byte {
	type params struct {
		Step   string `json:"step"`
		Desc   string `json:"desc"`
		Module string `json:"module,omitempty"`
	}
	return encode(struct {
		ID     string `json:"id"`
		Params params `json:"params"`
	}{m.ID, params{m.Step.String(), clip(m.Desc, MaxDescLen), onWire(m.Module)}})
}

// Encode gives the message for [TopicGet].
func (m Get) Encode() []byte {
	return encode(wireUplink{ID: text(m.ID), Version: "1.0", Params: wireParams{Module: onWire(m.Module)}, Method: "thing.ota.firmware.get"})
}

// Encode gives the message for [TopicRequest].
func (m Request) Encode() []byte {
	return encode(wireUplink{ID: text(m.ID), Params: wireParams{Version: text(m.Version)}})
}

// decodeUplink reads what is common to a device's messages. The module defaults
// to DefaultModule.
func decodeUplink(payload []byte) (wireUplink, error) {
	var w wireUplink
	if err := decode(payload, &w); err != nil {
		return w, err
	}
	if len(w.ID) > maxIDLen {
		return w, badf("id has %d characters, allowed are at most %d", len(w.ID), maxIDLen)
	}
	if w.Params.Module == "" {
		w.Params.Module = DefaultModule
	}
	if err := CheckModule(w.Params.Module); err != nil {
		return w, badf("%v", err)
	}
	return w, nil
}

// DecodeInform reads a version report.
func DecodeInform(payload []byte) (Inform, error) {
	w, err := decodeUplink(payload)
	if err != nil {
		return Inform{}, err
	}
	if err := CheckVersion(string(w.Params.Version)); err != nil {
		return Inform{}, badf("%v", err)
	}
	return Inform{string(w.ID), w.Params.Module, string(w.Params.Version)}, nil
}

// DecodeProgress reads a progress report. Its desc is clipped to MaxDescLen.
func DecodeProgress(payload []byte) (Progress, error) {
	w, err := decodeUplink(payload)
	if err != nil {
		return Progress{}, err
	}
	step, err := ParseStep(string(w.Params.Step))
	if err != nil {
		return Progress{}, badf("%v", err)
	}
	return Progress{string(w.ID), w.Params.Module, step, clip(w.Params.Desc, MaxDescLen)}, nil
}

// DecodeGet reads a question for an upgrade.
func DecodeGet(payload []byte) (Get, error) {
	w, err := decodeUplink(payload)
	if err != nil {
		return Get{}, err
	}
	return Get{string(w.ID), w.Params.Module}, nil
}

// DecodeRequest reads the older question for an upgrade.
func DecodeRequest(payload []byte) (Request, error) {
	w, err := decodeUplink(payload)
	if err != nil {
		return Request{}, err
	}
	if v := string(w.Params.Version); v != "" {
		if err := CheckVersion(v); err != nil {
			return Request{}, badf("%v", err)
		}
	}
	return Request{string(w.ID), string(w.Params.Version)}, nil
}
