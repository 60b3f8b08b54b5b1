package recipes

// PassSeconds is the table [ladder.pass_seconds] of a matrix: the seconds that one of each count
// of package train/cost takes with the matrix's models, measured once on an idle machine. A kind
// without a time has none: then a run that counts it has no seconds. It
// converts to Prices of that package.
type PassSeconds struct {
	Step            float64 `toml:"step,omitzero"`
	LanguagePass    float64 `toml:"language_pass,omitzero"`
	LanguageForward float64 `toml:"language_forward,omitzero"`
	GeneratedToken  float64 `toml:"generated_token,omitzero"`
	TokenEmbedding  float64 `toml:"token_embedding_call,omitzero"`
	QFormerPass     float64 `toml:"qformer_pass,omitzero"`
	QFormerForward  float64 `toml:"qformer_forward,omitzero"`
	ProjectionPass  float64 `toml:"projection_pass,omitzero"`
	Stage1Pass      float64 `toml:"stage1_pass,omitzero"`
	PictureEncoded  float64 `toml:"picture_encoded,omitzero"`
}

// lowest returns the smallest time.
func (p PassSeconds) lowest() float64 {
	return min(p.Step, p.LanguagePass, p.LanguageForward, p.GeneratedToken, p.TokenEmbedding, p.QFormerPass, p.QFormerForward,
		p.ProjectionPass, p.Stage1Pass, p.PictureEncoded)
}
