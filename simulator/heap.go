package simulator

// timers holds which task wants attention when; replaced in the next commit.
type timers struct{}
