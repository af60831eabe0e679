//! What a store gives page by page, as a stream that holds one page at a time.

use futures_util::{Stream, TryStreamExt, stream};

use crate::{Error, Result};

/// `read` gives a page and the mark after which the next one begins; `None` after the last.
pub fn paginate<T, M, P>(read: impl Fn(Option<M>) -> P) -> impl Stream<Item = Result<T>>
where
    P: Future<Output = Result<(Vec<T>, Option<M>)>>,
{
    enum At<M> {
        Start,
        Mark(M),
        End,
    }
    // A call of an SDK is a large future; boxed, it makes no larger ones of what it is part of.
    stream::try_unfold(At::Start, move |at| {
        let page = match at {
            At::Start => Some(Box::pin(read(None))),
            At::Mark(mark) => Some(Box::pin(read(Some(mark)))),
            At::End => None,
        };
        async move {
            let Some(page) = page else { return Ok::<_, Error>(None) };
            let (items, mark) = page.await?;
            Ok(Some((stream::iter(items.into_iter().map(Ok)), mark.map_or(At::End, At::Mark))))
        }
    })
    .try_flatten()
}
