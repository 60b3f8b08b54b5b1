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
// Ligtenberg and Moschytz, with 13 more fraction bits in the result. Numbers and sums of two have
// 16 bits: damaged data overflow as in libjpeg-turbo's vector code (jidctint-sse2.asm).
func transform(in [8]int32) (out [8]int32) {
	low, high := in[2]*c0541+in[6]*(c0541-c1847), in[2]*(c0541+c0765)+in[6]*c0541
	sum, difference := wrap(in[0]+in[4])<<13, wrap(in[0]-in[4])<<13
	even := [4]int32{sum + high, difference + low, difference - low, sum - high}

	z3, z4 := wrap(in[7]+in[3]), wrap(in[5]+in[1])
	z3, z4 = z3*(c1175-c1961)+z4*c1175, z3*c1175+z4*(c1175-c0390)
	odd := [4]int32{
		in[1]*(c1501-c0899) - in[7]*c0899 + z4,
		in[3]*(c3072-c2562) - in[5]*c2562 + z3,
		in[5]*(c2053-c2562) - in[3]*c2562 + z4,
		in[7]*(c0298-c0899) - in[1]*c0899 + z3,
	}
	for i := range 4 {
		out[i], out[7-i] = even[i]+odd[i], even[i]-odd[i]
	}
	return out
}

// wrap keeps the lower 16 bits of a number.
func wrap(v int32) int32 { return int32(int16(v)) }

// inverseDCT writes the 8 by 8 samples of a block. Columns keep 2 fraction bits in between.
func inverseDCT(b *block, table *[64]uint16, out []uint8, stride int) {
	var work [64]int32
	flat := *(*[56]int16)(b[8:]) == [56]int16{} // each column has one number
	for x := range 8 {
		var in [8]int32
		for y := range in {
			in[y] = wrap(int32(b[8*y+x]) * int32(table[8*y+x]))
		}
		if flat {
			for y := range 8 {
				work[8*y+x] = wrap(in[0] << 2)
			}
			continue
		}
		for y, v := range transform(in) {
			work[8*y+x] = max(-1<<15, min(1<<15-1, (v+1<<10)>>11))
		}
	}
	for y := range 8 {
		row := out[y*stride:][:8]
		for x, v := range transform([8]int32(work[8*y:])) {
			row[x] = uint8(max(0, min(255, 128+(v+1<<17)>>18)))
		}
	}
}
