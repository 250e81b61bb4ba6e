// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"io"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
)

// ask writes a request and reads its answer. Errors: ErrForged, ErrBusy, ErrAbsent, and
// rw's.
func ask(rw io.ReadWriter, q *Request) (*Answer, error) {
	if err := send(rw, q); err != nil {
		return nil, err
	}
	return receive(rw, q)
}

func send(w io.Writer, q *Request) error {
	body, err := q.Encode()
	if err != nil {
		return err
	}
	_, err = w.Write(Frame(body))
	return err
}

// receive reads the answer to a request that was sent.
func receive(r io.Reader, q *Request) (*Answer, error) {
	body, err := ReadAnswer(r)
	if errors.Is(err, ErrFrame) {
		return nil, ErrForged
	}
	if err != nil {
		return nil, err
	}
	a, err := DecodeAnswer(body, q)
	switch {
	case err != nil:
		return nil, ErrForged
	case a.Code != CodeRefused:
		return a, nil
	case a.Refusal == RefusedBusy:
		return nil, ErrBusy
	}
	return nil, ErrAbsent
}

// FetchHeader asks for the header of an epoch; nil without an error: the epoch was
// skipped. Nothing is verified but network and epoch. Errors: ErrForged, ErrBusy,
// ErrAbsent, ErrRequest for an epoch beyond MaxEpoch, and rw's.
func FetchHeader(rw io.ReadWriter, nid [32]byte, epoch uint64) (*snapshot.Header, error) {
	a, err := ask(rw, &Request{Code: CodeHeader, Epoch: epoch})
	if err != nil || len(a.Header) == 0 {
		return nil, err
	}
	h, err := snapshot.DecodeHeader(a.Header)
	if err != nil || h.NetworkID != nid || h.Epoch != epoch {
		return nil, ErrForged
	}
	return h, nil
}

// FetchCertificate asks for the certificate of a header. Judge verifies it. Errors:
// ErrForged, ErrBusy, ErrAbsent, and rw's.
func FetchCertificate(rw io.ReadWriter, digest [32]byte) (*vote.Certificate, error) {
	a, err := ask(rw, &Request{Code: CodeCertificate, Digest: digest})
	if err != nil {
		return nil, err
	}
	c, err := vote.DecodeCertificate(a.Certificate)
	if err != nil || c.HeaderDigest() != digest {
		return nil, ErrForged
	}
	return c, nil
}

// FetchTime asks what a relay takes the time for, and returns by how much clock is ahead
// of that (negative: behind): right within a second, and half of what the answer took.
// It is one relay's word. Errors: ErrForged, ErrBusy, ErrAbsent, and rw's.
// Spec: protocol §7 (BOOT-3).
func FetchTime(rw io.ReadWriter, clock func() time.Time) (ahead time.Duration, err error) {
	asked := clock()
	a, err := ask(rw, &Request{Code: CodeTime})
	if err != nil {
		return 0, err
	}
	took := max(0, clock().Sub(asked)) // by the monotonic clock, if there is one
	half := time.Second / 2            // of the second that began
	return asked.Round(0).Add(took / 2).Sub(time.Unix(int64(a.Time), 0).Add(half)), nil
}

// SendEvidence hands evidence to a relay. Errors: ErrForged, ErrBusy, ErrAbsent,
// record's for evidence that does not encode, and rw's.
func SendEvidence(rw io.ReadWriter, e *record.Evidence) error {
	data, err := e.Encode()
	if err != nil {
		return err
	}
	_, err = ask(rw, &Request{Code: CodeEvidence, Evidence: data})
	return err
}
