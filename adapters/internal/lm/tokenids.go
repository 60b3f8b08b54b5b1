package lm

import "encoding/json"

// TokenIDs decodes config.json's eos_token_id: a token id, a list of them, or null.
type TokenIDs []int32

// UnmarshalJSON reads a number, a list or null.
func (t *TokenIDs) UnmarshalJSON(data []byte) error {
	var list []int32
	if len(data) > 0 && data[0] != '[' && data[0] != 'n' {
		list = make([]int32, 1)
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*t = list
	return nil
}
