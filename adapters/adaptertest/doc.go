// Package adaptertest owns the conformance suite of the contracts in package adapters.
// It runs the same cases on a fake, on an adapter in this process and on a plugin in any
// language, and must not know which of them it tests.
//
//	func TestConformance(t *testing.T) {
//		adaptertest.TestLanguage(t, func() adapters.LanguageModel { return open(t) }, adaptertest.Options{})
//	}
//
// [TestVision] and [TestLanguage] run the cases under package testing. [Vision] and
// [Language] list them, and [Attempt] runs one without package testing, as `bridge plugin
// test` does. Each case says what the contract requires and how to fix an adapter that
// fails. A suite opens an adapter up to four times and closes it. It checks what every
// adapter promises, never the numbers of one model: golden cases do that.
//
// [FakeVision] and [FakeLanguage] are small deterministic models in plain Go; FakeLanguage
// has an exact gradient. They replace frozen models in tests of other packages.
package adaptertest
