package openapi

import (
	"fmt"
	"net/http"
	"strings"
)

// Fault is an error that an answer carries. With a Status other than 200 it is the
// gateway's (the request itself is wrong) and answered as {RequestId, HostId, Code,
// Message}; with 200 it is the platform's, {RequestId, Success false, Code,
// ErrorMessage}, as the official client expects it.
type Fault struct {
	Status  int
	Code    string
	Message string
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Codes of faults that are the platform's.
const (
	codeInvalid  = "iot.common.InvalidParameter"
	codePage     = "iot.common.InvalidPageParams"
	codeLater    = "iot.common.NotSupported"
	codeSystem   = "iot.system.SystemException"
	codeNoDevice = "iot.device.NotExistedDevice"
	codeNoApply  = "iot.device.InvalidApplyId"
	codeNoGroup  = "iot.group.NotExistedGroup"
	codeNoTask   = "iot.ota.NotExistedTask"
	codeBadList  = "iot.ota.InvalidDeviceList"
)

func gateway(status int, code, format string, args ...any) *Fault {
	return &Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func business(code, format string, args ...any) *Fault {
	return &Fault{Status: http.StatusOK, Code: code, Message: fmt.Sprintf(format, args...)}
}

// missing is the fault of a parameter that is not there: Missing<Param>.
func missing(name string) *Fault {
	code := "Missing" + strings.ReplaceAll(name, ".", "")
	return gateway(http.StatusBadRequest, code, "%s is mandatory for this action.", name)
}

func invalid(name, format string, args ...any) *Fault {
	return business(codeInvalid, name+": "+format, args...)
}
