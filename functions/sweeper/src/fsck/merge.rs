//! Merges two sorted streams and pairs equal items. Neither stream is held in memory.

use std::{cmp::Ordering, pin::pin};

use futures_util::{Stream, TryStreamExt};
use shared::Result;

#[derive(Debug, PartialEq)]
pub enum Merged<L, R> {
    Left(L),
    Right(R),
    Both(L, R),
}

/// Calls `each` with every item: in the left stream only, in the right stream only, or in both, by `order`. If a stream
/// is not sorted, an item of both may come as left and right, but an item of one stream never comes as both.
pub async fn merge<L, R>(
    left: impl Stream<Item = Result<L>>,
    right: impl Stream<Item = Result<R>>,
    order: impl Fn(&L, &R) -> Ordering,
    mut each: impl AsyncFnMut(Merged<L, R>) -> Result<()>,
) -> Result<()> {
    let (mut lefts, mut rights) = (pin!(left), pin!(right));
    let (mut left, mut right) = (lefts.try_next().await?, rights.try_next().await?);
    loop {
        let merged;
        (merged, left, right) = match (left, right) {
            (None, None) => return Ok(()),
            (Some(l), None) => (Merged::Left(l), lefts.try_next().await?, None),
            (None, Some(r)) => (Merged::Right(r), None, rights.try_next().await?),
            (Some(l), Some(r)) => match order(&l, &r) {
                Ordering::Less => (Merged::Left(l), lefts.try_next().await?, Some(r)),
                Ordering::Greater => (Merged::Right(r), Some(l), rights.try_next().await?),
                Ordering::Equal => (Merged::Both(l, r), lefts.try_next().await?, rights.try_next().await?),
            },
        };
        each(merged).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    async fn merged(left: &[u32], right: &[u32]) -> Vec<Merged<u32, u32>> {
        let of = |numbers: &[u32]| stream::iter(numbers.iter().copied().map(Ok).collect::<Vec<_>>());
        let mut all = Vec::new();
        let each = async |merged| {
            all.push(merged);
            Ok(())
        };
        merge(of(left), of(right), u32::cmp, each).await.unwrap();
        all
    }

    #[tokio::test]
    async fn equal_items_come_as_pairs_and_all_items_in_order() {
        let subset = |bits: u32| (0..5).filter(|n| bits >> n & 1 == 1).collect::<Vec<u32>>();
        for (l, r) in (0..32).flat_map(|l| (0..32).map(move |r| (l, r))) {
            let (left, right) = (subset(l), subset(r));
            let expected = subset(l | r).into_iter().map(|n| match (left.contains(&n), right.contains(&n)) {
                (true, true) => Merged::Both(n, n),
                (true, false) => Merged::Left(n),
                _ => Merged::Right(n),
            });
            assert_eq!(merged(&left, &right).await, expected.collect::<Vec<_>>(), "{left:?} and {right:?}");
        }
    }

    #[tokio::test]
    async fn a_duplicate_in_one_stream_is_paired_once() {
        use Merged::{Both, Left, Right};
        assert_eq!(merged(&[1, 1, 2], &[1, 2]).await, [Both(1, 1), Left(1), Both(2, 2)]);
        assert_eq!(merged(&[1], &[1, 1]).await, [Both(1, 1), Right(1)]);
    }

    #[tokio::test]
    async fn an_item_out_of_order_is_never_paired_with_another() {
        use Merged::{Both, Left, Right};
        assert_eq!(merged(&[1, 2, 3], &[1, 3, 2]).await, [Both(1, 1), Left(2), Both(3, 3), Right(2)]);
    }

    #[tokio::test]
    async fn a_failure_of_either_stream_ends_the_merge() {
        let broken = || stream::iter([Ok(1), Err(shared::Error::timeout("S3"))]);
        let whole = || stream::iter([Ok(1), Ok(2)]);
        let mut seen = 0;
        let mut each = async |_| {
            seen += 1;
            Ok(())
        };
        assert!(merge(broken(), whole(), u32::cmp, &mut each).await.is_err());
        assert!(merge(whole(), broken(), u32::cmp, &mut each).await.is_err());
        assert_eq!(seen, 0, "nothing counts as missing behind a failure");
    }
}
