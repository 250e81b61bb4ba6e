// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestImpurityIsFound(t *testing.T) {
	for _, test := range []struct {
		name, source string
		wants        []string
	}{
		{"goroutine", `package cell; func f() { go f() }`, []string{"go statement"}},
		{"clock", `package cell; import "time"
			var a, b = time.Now(), time.Since(time.Time{})
			var c = time.Until
			func f() { time.Sleep(1); <-time.After(1); time.AfterFunc(1, f); time.NewTimer(1); time.NewTicker(1); time.Tick(1) }`,
			[]string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After ", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick "}},
		{"clock under another name", `package cell; import clock "time"; var a = clock.Now()`, []string{"time.Now"}},
		{"clock without a name", `package cell; import . "time"; var a = Now()`, []string{"time with a dot"}},
		{"sockets, files, logs", `package cell; import ("net"; "net/http"; "os"; "os/exec"; "log"; "log/slog"; "syscall"; "io/ioutil"; "crypto/tls")`,
			[]string{"imports net:", "net/http", "imports os:", "os/exec", "imports log:", "log/slog", "syscall", "io/ioutil", "crypto/tls"}},
		{"randomness of its own", `package cell; import ("crypto/rand"; old "math/rand"; "math/rand/v2")
			var a = rand.IntN(3)`, []string{"crypto/rand", "math/rand:", "rand.IntN"}},
		{"keys from the system", `package cell
			func f() { ecdh.X25519().GenerateKey(nil); ed25519.GenerateKey(nil); mlkem.GenerateKey768() }`,
			[]string{"GenerateKey in", "GenerateKey in", "GenerateKey768"}},
		{"allowed", `package cell; import ("net/netip"; "time"; "math/rand/v2"; "sync"; "crypto/sha3")
			func f(now time.Time) time.Time { return now.Add(time.Second) }
			func g(s rand.Source) { rand.New(s) }`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkPurity(sources(t, map[string]string{"circuit/cell/a.go": test.source}), layers), test.wants...)
			expect(t, checkPurity(sources(t, map[string]string{"circuit/cell/a_test.go": test.source}), layers))
			expect(t, checkPurity(sources(t, map[string]string{"relay/a.go": test.source}), layers))
		})
	}
}
