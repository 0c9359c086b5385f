/* The float copies of everything in edgead.h that depends on the precision: ead_x becomes ead32_x, for a host
 * that uses both. A build for float alone defines EAD_REAL_FLOAT instead (see edgead.h) and does not include
 * this file. A test compares the list below with edgead.h.  SPDX-License-Identifier: Apache-2.0 */
#ifndef EDGEAD_F32_H
#define EDGEAD_F32_H

#include "edgead.h"

#ifdef EAD_REAL_FLOAT
#error "edgead_f32.h is for builds of both precisions; with EAD_REAL_FLOAT include edgead.h alone"
#endif

#define EAD_REAL_FLOAT
#define ead_real ead32_real
#define ead_fft_plan ead32_fft_plan
#define ead_fft_plan_size ead32_fft_plan_size
#define ead_fft_plan_init ead32_fft_plan_init
#define ead_fft_work_len ead32_fft_work_len
#define ead_fft ead32_fft
#define ead_ifft ead32_ifft
#define ead_rfft ead32_rfft
#define ead_irfft ead32_irfft
#define ead_saliency_work_len ead32_saliency_work_len
#define ead_saliency ead32_saliency
#define ead_slide_table ead32_slide_table
#define ead_slide_table_size ead32_slide_table_size
#define ead_slide_table_init ead32_slide_table_init
#define ead_slide_table_isa ead32_slide_table_isa
#define ead_slide ead32_slide
#define ead_slide_size ead32_slide_size
#define ead_slide_init ead32_slide_init
#define ead_slide_check ead32_slide_check
#define ead_slide_feed ead32_slide_feed
#define ead_slide_replace ead32_slide_replace
#define ead_slide_mean ead32_slide_mean
#define ead_slide_count ead32_slide_count
#define ead_order ead32_order
#define ead_order_size ead32_order_size
#define ead_order_init ead32_order_init
#define ead_order_check ead32_order_check
#define ead_order_count ead32_order_count
#define ead_order_push ead32_order_push
#define ead_order_replace ead32_order_replace
#define ead_order_quantile ead32_order_quantile
#define ead_order_median ead32_order_median
#define ead_order_mad ead32_order_mad
#define ead_spectral ead32_spectral
#define ead_spectral_size ead32_spectral_size
#define ead_spectral_init ead32_spectral_init
#define ead_spectral_configure ead32_spectral_configure
#define ead_spectral_check ead32_spectral_check
#define ead_spectral_judge ead32_spectral_judge
#define ead_spectral_judge_many ead32_spectral_judge_many
#define ead_spectral_revise ead32_spectral_revise
#define ead_spectral_needed ead32_spectral_needed
#define ead_spectral_explain ead32_spectral_explain
#define ead_rows ead32_rows
#define ead_rows_size ead32_rows_size
#define ead_rows_init ead32_rows_init
#define ead_rows_configure ead32_rows_configure
#define ead_rows_check ead32_rows_check
#define ead_fuse_judge ead32_fuse_judge
#define ead_rows_judge ead32_rows_judge
#define ead_rows_judge_many ead32_rows_judge_many
#define ead_rows_history ead32_rows_history
#define ead_rows_revise ead32_rows_revise
#define ead_rows_needed ead32_rows_needed
#define ead_rows_explain ead32_rows_explain
#define ead_bank ead32_bank
#define ead_bank_size ead32_bank_size
#define ead_bank_init ead32_bank_init
#define ead_bank_check ead32_bank_check
#define ead_bank_meet ead32_bank_meet
#define ead_bank_reach ead32_bank_reach
#define ead_bank_count ead32_bank_count
#define ead_fuse ead32_fuse
#define ead_fuse_size ead32_fuse_size
#define ead_fuse_init ead32_fuse_init
#define ead_fuse_configure ead32_fuse_configure
#define ead_fuse_check ead32_fuse_check
#define ead_fuse_explain ead32_fuse_explain

#undef EDGEAD_H_REAL
#include "edgead.h"

#ifndef EAD_F32_SOURCE /* the float sources themselves keep the new names */
#undef EAD_REAL_FLOAT
#undef ead_real
#undef ead_fft_plan
#undef ead_fft_plan_size
#undef ead_fft_plan_init
#undef ead_fft_work_len
#undef ead_fft
#undef ead_ifft
#undef ead_rfft
#undef ead_irfft
#undef ead_saliency_work_len
#undef ead_saliency
#undef ead_slide_table
#undef ead_slide_table_size
#undef ead_slide_table_init
#undef ead_slide_table_isa
#undef ead_slide
#undef ead_slide_size
#undef ead_slide_init
#undef ead_slide_check
#undef ead_slide_feed
#undef ead_slide_replace
#undef ead_slide_mean
#undef ead_slide_count
#undef ead_order
#undef ead_order_size
#undef ead_order_init
#undef ead_order_check
#undef ead_order_count
#undef ead_order_push
#undef ead_order_replace
#undef ead_order_quantile
#undef ead_order_median
#undef ead_order_mad
#undef ead_spectral
#undef ead_spectral_size
#undef ead_spectral_init
#undef ead_spectral_configure
#undef ead_spectral_check
#undef ead_spectral_judge
#undef ead_spectral_judge_many
#undef ead_spectral_revise
#undef ead_spectral_needed
#undef ead_spectral_explain
#undef ead_rows
#undef ead_rows_size
#undef ead_rows_init
#undef ead_rows_configure
#undef ead_rows_check
#undef ead_fuse_judge
#undef ead_rows_judge
#undef ead_rows_judge_many
#undef ead_rows_history
#undef ead_rows_revise
#undef ead_rows_needed
#undef ead_rows_explain
#undef ead_bank
#undef ead_bank_size
#undef ead_bank_init
#undef ead_bank_check
#undef ead_bank_meet
#undef ead_bank_reach
#undef ead_bank_count
#undef ead_fuse
#undef ead_fuse_size
#undef ead_fuse_init
#undef ead_fuse_configure
#undef ead_fuse_check
#undef ead_fuse_explain
#endif

#endif
