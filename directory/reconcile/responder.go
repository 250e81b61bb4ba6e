// SPDX-License-Identifier: BSD-3-Clause

package reconcile

// awaitOpen: nothing has happened yet.
func (s *Session) awaitOpen(m Message) ([]Message, *Result, error) {
	open, ok := m.(*Open)
	if !ok || open.Answer {
		return nil, nil, ErrOrder
	}
	if err := s.agree(open, open.Nonce, s.nonce); err != nil {
		return nil, nil, err
	}
	s.state = (*Session).serve
	out := []Message{&Open{Answer: true, Nonce: s.nonce, Count: uint32(s.set.Len())}}
	if s.limit > 0 {
		out = append(out, s.block())
	}
	return out, nil, nil
}

// block is the next block of symbols.
func (s *Session) block() Message {
	from := s.coder.from
	return &Symbols{From: from, Symbols: s.coder.take(blockSize(from, s.limit))}
}

// serve: the opener has what it needs to ask for more, to fall back or to end.
func (s *Session) serve(m Message) ([]Message, *Result, error) {
	switch m := m.(type) {
	case *Symbols:
		if len(m.Symbols) > 0 || m.From != s.coder.from || s.coder.from >= s.limit {
			return nil, nil, ErrOrder
		}
		return []Message{s.block()}, nil, nil
	case *Done:
		if m.Code != DoneSymbols || s.coder.from == 0 {
			return nil, nil, ErrOrder
		}
		return s.takeItems(m)
	case *Sums:
		if s.coder.from < s.limit {
			return nil, nil, ErrOrder
		}
		if !s.cfg.Fallback {
			return []Message{&Done{Code: DoneRefused}}, nil, ErrUndecided
		}
		s.fallback = newFallback(s)
		s.fallback.compare(m)
		lists := s.fallback.frame()
		s.state = (*Session).serveLists
		return []Message{lists}, nil, nil
	}
	return nil, nil, ErrOrder
}

// takeItems ends a session whose symbols sufficed.
func (s *Session) takeItems(m *Done) ([]Message, *Result, error) {
	if s.set.Len()-len(m.Wanted) != s.peerCount-len(m.Offered) { // both are what is common
		return nil, nil, ErrPoisoned
	}
	r := &Result{OnlyTheirs: m.Offered, SymbolCount: int(s.coder.from)}
	for _, item := range m.Wanted {
		d, ok := s.set.find(item)
		if !ok {
			return nil, nil, ErrPoisoned
		}
		r.OnlyOurs = append(r.OnlyOurs, d)
	}
	for _, item := range m.Offered {
		if _, ok := s.set.find(item); ok {
			return nil, nil, ErrPoisoned
		}
	}
	return nil, r, nil
}

// serveLists: the opener asks for list frames, then reports.
func (s *Session) serveLists(m Message) ([]Message, *Result, error) {
	switch m := m.(type) {
	case *Next:
		if !s.fallback.more || m.N != s.fallback.n {
			return nil, nil, ErrOrder
		}
		return []Message{s.fallback.frame()}, nil, nil
	case *Done:
		if s.fallback.more || m.Code == DoneSymbols {
			return nil, nil, ErrOrder
		}
		return s.fallback.takeIDs(m)
	}
	return nil, nil, ErrOrder
}
