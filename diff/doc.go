// Package diff makes and applies patches between two images: bytes and bytes
// to bytes, and nothing else. It knows no files, no network and no clock.
//
// # The idea
//
// A patch is read like a compressed file. [NewReader] takes the old image and
// the patch, both as an io.ReaderAt, and is an io.Reader of the new image, in
// order, each byte once; the caller copies it into a slot. [Make] is the other
// way round. [Info] says what a patch holds without an old image.
//
// Three formats are read. [BSDIFF40] is that of the classic bsdiff and bspatch:
// a header of 32 bytes and three bzip2 streams (control, diff, extra), for which
// the whole patch must be at hand. [BSDIFF43] is the same in one stream
// ([NewEndsleyReader]). [Native] is our own, docs/delta-format.md: frames that are
// applied while the patch comes from a plain io.Reader ([NewNativeReader]), each of
// which can be the first after a power cut ([ResumeNative]), with digests of both
// images. [Detect] tells them by their first bytes. Make writes the first and
// the last.
//
// Make finds what old and new have in common with hash seeds, in segments of
// the new image in parallel; an alignment that costs more than it saves is left out.
// Options.Best looks with a suffix array (SA-IS, 32 bits) and then chooses among all
// alignments that it came across by what they cost once they are compressed: the
// cheapest way through the new image, where the cost of a byte depends on those
// before it, and is learnt from a first, greedy choice. Where almost nothing has changed,
// it also tries seeds with a calm tuning, and keeps what packs smaller.
//
// # The promise
//
// Applying takes at most about 7 MB of heap whatever the size of the images
// (6 MB for native patches): no buffer is sized by a number that the patch merely
// claims, every buffer grows with what really came (a bzip2 block holds at most
// 900,000 bytes, a native frame 1 MiB), and the tables for undoing the block
// sorting are shared. Time is bounded by the size of the new image, which the
// caller bounds with [MaxNewSize]. What Make takes is known before it starts:
// [Options.Memory].
//
// # The trust
//
// A patch is hostile until the digest of what came out of it was compared, and
// that comparison is the caller's, except for native patches, which are as good as
// the signature over them. What this package holds itself to: no panic,
// no read outside of the old image, no byte beyond the announced new size, and
// an error for a patch that is damaged, cut short or carries something extra.
// The rules, stricter than those of the classic bspatch:
//
//   - The lengths of a record are not negative and not larger than what is left
//     of the new image (compared by subtraction, so nothing overflows).
//   - The old position stays within 0 and the size of the old image, at each
//     seek, and a diff region ends within the old image. The classic bspatch
//     lets a region stick out and adds only where there is something to add,
//     but the classic generator and its ports stop their regions at the end of
//     the old image, so no patch of theirs is lost by this.
//   - A record that does nothing (no diff, no extra, no seek) is refused, and
//     the number of records is capped (see [NewReader]). A record that only
//     seeks is not refused: the classic generator begins with one whenever the
//     new image starts with a piece from the middle of the old one, and writes
//     up to 15 in a row for repetitive images (seen in 10,000 patches, none
//     of which had a record that does nothing). [Make] never writes one.
//   - Each section is one bzip2 stream, with both of its checksums right, that
//     ends where the section ends and where the last record ends.
package diff
