package agent

import "io"

// spoolReserve is what a spooled package leaves free in the state directory.
const spoolReserve = 1 << 20

// source is the reading end of a package: first what the spool already has of
// it, then the network. While keep is set, what comes from the network is put
// into the spool as well, at its own place: the spool's offsets are the
// package's. The source remembers its own failure, so that it is not taken for
// one of the unpacker that reads from it.
type source struct {
	body  io.Reader
	spool Spool
	at    int64 // package bytes read
	from  int64 // where the network takes over from the spool
	keep  bool
	err   error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.at < s.from {
		n, err := s.spool.ReadAt(p[:min(int64(len(p)), s.from-s.at)], s.at)
		s.at += int64(n)
		if err == io.EOF && n > 0 {
			err = nil
		}
		return n, s.broke(err)
	}
	n, err := s.body.Read(p)
	if s.keep && n > 0 {
		// A full state directory must not fail an update that does not need it.
		if _, werr := s.spool.WriteAt(p[:n], s.at); werr != nil {
			s.keep = false
		}
	}
	s.at += int64(n)
	return n, s.broke(err)
}

func (s *source) broke(err error) error {
	if err != nil && err != io.EOF {
		s.err = err
	}
	return err
}

// spoolEnd is how far the spool has the package: what the record says, or less
// when the file is shorter. From the mark on, that is.
func (a *Agent) spoolEnd(u *Update) int64 {
	end := u.Mark.Spooled
	if have, err := a.cfg.Spool.Size(); err != nil || have < end {
		end = 0
		if err == nil {
			end = have
		}
	}
	return max(end, u.Mark.In)
}
