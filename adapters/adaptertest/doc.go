// Package adaptertest holds the conformance suite of the contracts in package
// adapters: [TestVision] and [TestLanguage] run the same cases on a fake, on an
// adapter in this process and on one in a plugin, of any language.
//
//	func TestConformance(t *testing.T) {
//		adaptertest.TestLanguage(t, func() adapters.LanguageModel { return open(t) }, adaptertest.Options{})
//	}
//
// The suite opens the adapter once per test function and closes it. It states
// what every adapter promises, never what numbers a model gives: that is what
// golden cases are for.
//
// [FakeVision] and [FakeLanguage] are small models in plain Go, deterministic
// and, the latter, with an exact gradient: they stand in for frozen models
// where a test is about something else.
package adaptertest
