// Package adaptertest holds the conformance suite of the contracts in package
// adapters: the same cases for a fake, for an adapter in this process and for
// one in a plugin, of any language.
//
//	func TestConformance(t *testing.T) {
//		adaptertest.TestLanguage(t, func() adapters.LanguageModel { return open(t) }, adaptertest.Options{})
//	}
//
// [TestVision] and [TestLanguage] run the cases under package testing; [Vision]
// and [Language] list them, and [Attempt] runs one without it, as `bridge plugin
// test` does. Each says what the contract wants and how to fix an adapter that
// lacks it. A suite opens an adapter up to four times and closes what it opens. It
// states what every adapter promises, never what numbers a model gives: that is
// what golden cases are for.
//
// [FakeVision] and [FakeLanguage] are small models in plain Go, deterministic
// and, the latter, with an exact gradient: they stand in for frozen models
// where a test is about something else.
package adaptertest
