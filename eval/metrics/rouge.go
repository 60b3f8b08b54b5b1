package metrics

import "strings"

// rougeBeta weighs recall against precision.
const rougeBeta = 1.2

// ROUGEL returns ROUGE-L of captions, got[i] against references[i], from 0 to 1, as
// pycocoevalcap 1.2 computes it (Lin 2004): the weighted harmonic mean of precision and recall
// of the longest common subsequence of words. The best precision and the best recall may be
// those of different references. mean is the mean of each; it is 0 if there are no captions.
//
// Texts are tokenised, and their words separated by one space: an empty text is one empty
// word, which equals that of another empty text. ROUGEL panics as [BLEU] does.
func ROUGEL(got []string, references [][]string) (mean float64, each []float64) {
	mustPair("ROUGE-L", got, references)
	for i, text := range got {
		score := rougeL(strings.Split(text, " "), references[i])
		each = append(each, score)
		mean += score
	}
	return mean / float64(max(1, len(got))), each
}

func rougeL(words, references []string) float64 {
	precision, recall := 0.0, 0.0
	for _, text := range references {
		reference := strings.Split(text, " ")
		common := float64(commonSubsequence(words, reference))
		precision = max(precision, common/float64(len(words)))
		recall = max(recall, common/float64(len(reference)))
	}
	if precision == 0 || recall == 0 {
		return 0
	}
	return (1 + rougeBeta*rougeBeta) * precision * recall / (recall + rougeBeta*rougeBeta*precision)
}

// commonSubsequence returns the length of the longest common subsequence.
func commonSubsequence(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
