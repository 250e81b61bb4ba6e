// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"io"

	"chive/circuit/cell"
)

// WaitCells waits until a cell begins to arrive, holding no buffer: an idle
// circuit costs its goroutine and a byte. Then ReadCells does not wait long.
// Errors as Read.
func (s *Stream) WaitCells() error {
	if err := s.announce(); err != nil {
		return err
	}
	if err := s.beginRead(); err != nil {
		return err
	}
	defer s.endRead()
	for !s.have {
		n, err := s.read(s.first[:])
		if err != nil {
			return err
		}
		s.have = n > 0
	}
	return nil
}

// ReadCells reads at least one whole cell, and as many more as have arrived and
// fit into buf, whose capacity must be at least one cell and should be
// MaxCellsPerWrite or more. The result is a part of buf. It waits if there is
// nothing; see WaitCells and Handler. Errors as Read; a stream that ends inside a cell
// fails with ErrProtocol.
func (s *Stream) ReadCells(buf []byte) ([]byte, error) {
	size := cap(buf) / cell.Size * cell.Size
	if size == 0 {
		return nil, ErrSize
	}
	if err := s.announce(); err != nil {
		return nil, err
	}
	if err := s.beginRead(); err != nil {
		return nil, err
	}
	defer s.endRead()
	n := 0
	if s.have {
		buf = append(buf[:0], s.first[0])
		s.have, n = false, 1
	}
	// What is there of a cell behind whole ones is left for the next call.
	whole := max(1, (n+s.Buffered())/cell.Size) * cell.Size
	buf = buf[:min(size, whole)]
	for {
		m, err := s.read(buf[n:])
		n += m
		switch {
		case err == io.EOF && n > 0:
			return nil, ErrProtocol
		case err != nil:
			return nil, err
		case n > 0 && n%cell.Size == 0:
			return buf[:n], nil
		}
		buf = buf[:max(1, (n+cell.Size-1)/cell.Size)*cell.Size] // the rest of this cell is on its way
	}
}

// WriteCells sends whole cells, in order, CellsPerWrite at a time (MaxCellsPerWrite
// while no other stream has anything to send), each time
// when it is this stream's turn on the link. It waits for the link and the
// peer's window; Close ends it. cells is not kept.
func (s *Stream) WriteCells(cells []byte) error { return s.writeCells(cells, false) }

// WriteControl sends whole cells ahead of the data that other streams of the
// link wait to send, and of WriteCells calls of this stream that have not begun.
// It does not overtake a call that has.
func (s *Stream) WriteControl(cells []byte) error { return s.writeCells(cells, true) }

func (s *Stream) writeCells(cells []byte, control bool) error {
	if len(cells) == 0 || len(cells)%cell.Size != 0 {
		return ErrSize
	}
	if err := s.beginWrite(control); err != nil {
		return err
	}
	defer s.endWrite()
	for len(cells) > 0 {
		n := min(len(cells), maxWrite)
		if err := s.send(cells[:n], control); err != nil {
			return err
		}
		cells = cells[n:]
	}
	return nil
}
