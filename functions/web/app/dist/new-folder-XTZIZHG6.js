import{w as o}from"/app/chunk-UWGIIJBM.js";import"/app/chunk-3UDJEJUD.js";export{o as askNewFolder};
