package train

// StateLocked reports whether a step or a checkpoint holds the training state.
func (s *Session) StateLocked() bool {
	if !s.state.TryLock() {
		return true
	}
	s.state.Unlock()
	return false
}

// FitWords is [fitWords].
var FitWords = fitWords

// WordFitBatchOf returns the batch of a fit of words.
var WordFitBatchOf = wordFitBatchOf
