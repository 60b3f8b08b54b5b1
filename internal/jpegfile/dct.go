package jpegfile

// Products of cosines with 13 fraction bits, named by their value.
const (
	c0298 = 2446
	c0390 = 3196
	c0541 = 4433
	c0765 = 6270
	c0899 = 7373
	c1175 = 9633
	c1501 = 12299
	c1847 = 15137
	c1961 = 16069
	c2053 = 16819
	c2562 = 20995
	c3072 = 25172
)

// transform is the inverse cosine transform of eight numbers by the method of Loeffler,
// Ligtenberg and Moschytz, with 12 multiplications for the odd part and 13 more fraction
// bits in the result. Its order of operations is that of jidctint.c.
func transform(in [8]int32) (out [8]int32) {
	z := (in[2] + in[6]) * c0541
	low, high := z-in[6]*c1847, z+in[2]*c0765
	sum, difference := (in[0]+in[4])<<13, (in[0]-in[4])<<13
	even := [4]int32{sum + high, difference + low, difference - low, sum - high}

	z1, z2, z3, z4 := in[7]+in[1], in[5]+in[3], in[7]+in[3], in[5]+in[1]
	z5 := (z3 + z4) * c1175
	z1, z2, z3, z4 = -z1*c0899, -z2*c2562, z5-z3*c1961, z5-z4*c0390
	odd := [4]int32{in[1]*c1501 + z1 + z4, in[3]*c3072 + z2 + z3, in[5]*c2053 + z2 + z4, in[7]*c0298 + z1 + z3}
	for i := range 4 {
		out[i], out[7-i] = even[i]+odd[i], even[i]-odd[i]
	}
	return out
}

// inverseDCT writes the 8 by 8 samples of a block. Columns keep 2 fraction bits in between.
func inverseDCT(b *block, table *[64]uint16, out []uint8, stride int) {
	var work [64]int32
	for x := range 8 {
		var in [8]int32
		for y := range in {
			in[y] = int32(b[8*y+x]) * int32(table[8*y+x])
		}
		for y, v := range transform(in) {
			work[8*y+x] = (v + 1<<10) >> 11
		}
	}
	for y := range 8 {
		row := out[y*stride:][:8]
		for x, v := range transform([8]int32(work[8*y:])) {
			row[x] = uint8(max(0, min(255, 128+(v+1<<17)>>18)))
		}
	}
}
