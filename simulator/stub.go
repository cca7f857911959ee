package simulator

import "errors"

var errSoon = errors.New("not yet built")

func (CreateProduct) apply(*Cloud, Stamp) (any, error)     { return nil, errSoon }
func (SetSecureUpgrade) apply(*Cloud, Stamp) (any, error)  { return nil, errSoon }
func (RegisterDevices) apply(*Cloud, Stamp) (any, error)   { return nil, errSoon }
func (SetDeviceDisabled) apply(*Cloud, Stamp) (any, error) { return nil, errSoon }
func (CreateModule) apply(*Cloud, Stamp) (any, error)      { return nil, errSoon }
func (CreatePackage) apply(*Cloud, Stamp) (any, error)     { return nil, errSoon }
func (CreateVerifyJob) apply(*Cloud, Stamp) (any, error)   { return nil, errSoon }
func (CreateStaticJob) apply(*Cloud, Stamp) (any, error)   { return nil, errSoon }
func (CancelTasksByJob) apply(*Cloud, Stamp) (any, error)  { return nil, errSoon }
func (FindProduct) apply(*Cloud, Stamp) (any, error)       { return nil, errSoon }
func (FindDevice) apply(*Cloud, Stamp) (any, error)        { return nil, errSoon }
func (FindModules) apply(*Cloud, Stamp) (any, error)       { return nil, errSoon }
func (FindPackage) apply(*Cloud, Stamp) (any, error)       { return nil, errSoon }
func (FindJob) apply(*Cloud, Stamp) (any, error)           { return nil, errSoon }

func (Online) happen(*Cloud, Stamp)     {}
func (Offline) happen(*Cloud, Stamp)    {}
func (Informed) happen(*Cloud, Stamp)   {}
func (Progressed) happen(*Cloud, Stamp) {}
func (Asked) happen(*Cloud, Stamp)      {}
