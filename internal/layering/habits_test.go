// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestBareBubblesAreFound(t *testing.T) {
	expect(t, checkBubbles(sources(t, map[string]string{
		"link/a_test.go":         `package link; import "testing/synctest"; func f() { synctest.Test(nil, nil); synctest.Wait() }`,
		"testnet/a.go":           `package testnet; import s "testing/synctest"; func f() { s.Run(nil) }`,
		"internal/testutil/a.go": `package testutil; import "testing/synctest"; func f() { synctest.Test(nil, nil) }`,
	})), "link/a_test.go:3: synctest.Test", "testnet/a.go:3: synctest.Run")
}

func TestSleepingTestsAreFound(t *testing.T) {
	made := sources(t, map[string]string{
		"link/a_test.go":            `package link; import "time"; func f() { time.Sleep(1) }`,
		"internal/memnet/b_test.go": `package memnet; import "time"; func f() { time.Sleep(1) }`,
		"link/a.go":                 `package link; import "time"; func f() { time.Sleep(1) }`,
	})
	expect(t, checkSleeps(made, map[string]string{
		"internal/memnet/b_test.go": "virtual time is its subject",
		"link/gone_test.go":         "was slow once",
	}), "link/a_test.go:3: time.Sleep", "link/gone_test.go: row of table sleepers")
}

func TestPanicsAreFound(t *testing.T) {
	made := sources(t, map[string]string{
		"link/a.go":      `package link; func f() { panic("link: broken") }`,
		"link/b.go":      `package link; func g() { panic("link: broken, " + "twice") }`,
		"link/c.go":      `package link; func h(err error) { panic(err); panic("link: " + err.Error()) }`,
		"link/a_test.go": `package link; func i() { panic("x") }`,
	})
	expect(t, checkPanics(made, map[string]string{
		"link/b.go":    "a reason",
		"link/c.go":    "a reason",
		"link/gone.go": "a reason",
	}), "link/a.go:3: panic in a file", "link/c.go:3: panic with a computed value", "link/c.go:3: panic with a computed value",
		"link/gone.go: row of table panics")
}

func TestInitFunctionsAreFound(t *testing.T) {
	expect(t, checkInit(sources(t, map[string]string{
		"link/a.go": `package link; func init() {}; type t struct{}; func (t) init() {}`,
	})), "link/a.go:3: init function")
}
