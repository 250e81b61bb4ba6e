// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"slices"
)

// awaitAnswer: we have sent OPEN.
func (s *Session) awaitAnswer(m Message) ([]Message, *Result, error) {
	answer, ok := m.(*Open)
	if !ok || !answer.Answer {
		return nil, nil, ErrOrder
	}
	if err := s.agree(answer, s.nonce, answer.Nonce); err != nil {
		return nil, nil, err
	}
	if s.limit == 0 {
		return s.fallBack()
	}
	s.decoder = newDecoder(s.set, &s.keys)
	s.state = (*Session).awaitSymbols
	return nil, nil, nil
}

// awaitSymbols: the responder owes the next block.
func (s *Session) awaitSymbols(m Message) ([]Message, *Result, error) {
	block, ok := m.(*Symbols)
	size := blockSize(s.coder.from, s.limit)
	if !ok || block.From != s.coder.from || uint32(len(block.Symbols)) != size {
		return nil, nil, ErrOrder
	}
	for i := range block.Symbols {
		count := int(block.Symbols[i].Count)
		if count < 0 || count > s.peerCount || block.From == 0 && i == 0 && count != s.peerCount {
			return nil, nil, ErrPoisoned
		}
	}
	complete, err := s.decoder.add(block.Symbols, s.coder.take(size))
	if err != nil {
		return nil, nil, err
	}
	if complete {
		return s.report()
	}
	if s.coder.from < s.limit {
		return []Message{&Symbols{From: s.coder.from}}, nil, nil
	}
	return s.fallBack()
}

// report ends a session whose symbols sufficed.
func (s *Session) report() ([]Message, *Result, error) {
	done := &Done{Code: DoneSymbols}
	for i := range s.decoder.found {
		f := &s.decoder.found[i]
		if f.sign > 0 {
			done.Wanted = append(done.Wanted, f.item)
		} else {
			done.Offered = append(done.Offered, f.item)
		}
	}
	rise := func(a, b Item) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(done.Wanted, rise)
	slices.SortFunc(done.Offered, rise)
	r := &Result{OnlyTheirs: slices.Clone(done.Wanted), SymbolCount: int(s.coder.from)}
	for _, item := range done.Offered {
		d, ok := s.set.find(item)
		if !ok {
			return nil, nil, ErrPoisoned
		}
		r.OnlyOurs = append(r.OnlyOurs, d)
	}
	return []Message{done}, r, nil
}

// fallBack sends sums in place of further symbols, if that is allowed now.
func (s *Session) fallBack() ([]Message, *Result, error) {
	if !s.cfg.Fallback {
		return []Message{&Done{Code: DoneAbandoned}}, nil, ErrUndecided
	}
	s.decoder = nil
	s.fallback = newFallback(s)
	s.state = (*Session).awaitLists
	return []Message{&Sums{Sums: *s.set.sums(s.keys.sum)}}, nil, nil
}

// awaitLists: the responder owes list frame n.
func (s *Session) awaitLists(m Message) ([]Message, *Result, error) {
	lists, ok := m.(*Lists)
	if !ok || lists.N != s.fallback.n {
		return nil, nil, ErrOrder
	}
	if err := s.fallback.take(lists); err != nil {
		return nil, nil, err
	}
	if lists.More {
		s.fallback.n++
		return []Message{&Next{N: s.fallback.n}}, nil, nil
	}
	return s.fallback.report()
}
